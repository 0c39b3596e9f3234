// The AWS SDK for Go v2 through one stream's life: create, write, reshard, read everything back,
// delete.
//
// Everything about the server comes from the environment that AWS's tools read. The last line of
// the output is the report that tests/clients/clients.rs checks.
package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"math/big"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"
)

var (
	ctx    = context.Background()
	client *kinesis.Client
	stream = aws.String(os.Getenv("STREAM"))
	second = aws.String(os.Getenv("STREAM") + "-second")
	report = struct {
		SDK            string               `json:"sdk"`
		Written        [][4]string          `json:"written"`
		Polled         [][4]string          `json:"polled"`
		FannedOut      [][4]string          `json:"fanned_out"`
		Lineage        map[string][]string  `json:"lineage"`
		RetentionHours int32                `json:"retention_hours"`
		Tags           map[string]string    `json:"tags"`
		Listed         []string             `json:"listed"`
		Echo           [][2]string          `json:"echo"`
		Errors         map[string][2]string `json:"errors"`
	}{Lineage: map[string][]string{}, Tags: map[string]string{}, Errors: map[string][2]string{}}
)

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

// expectError reports the error that a wrong call gets.
func expectError[T any](name string, _ T, err error) {
	var apiError smithy.APIError
	if !errors.As(err, &apiError) {
		log.Fatalf("%s: expected an error of the service, got %v", name, err)
	}
	report.Errors[name] = [2]string{apiError.ErrorCode(), apiError.ErrorMessage()}
}

func waitActive(name *string) {
	waiter := kinesis.NewStreamExistsWaiter(client, func(o *kinesis.StreamExistsWaiterOptions) { o.MinDelay = time.Second })
	if err := waiter.Wait(ctx, &kinesis.DescribeStreamInput{StreamName: name}, 30*time.Second); err != nil {
		log.Fatal(err)
	}
}

func middle(shard types.Shard) *string {
	low, _ := new(big.Int).SetString(*shard.HashKeyRange.StartingHashKey, 10)
	high, _ := new(big.Int).SetString(*shard.HashKeyRange.EndingHashKey, 10)
	sum := new(big.Int).Add(low, high)
	return aws.String(sum.Add(sum, big.NewInt(1)).Rsh(sum, 1).String())
}

func main() {
	log.SetFlags(log.Lshortfile)
	client = kinesis.NewFromConfig(must(config.LoadDefaultConfig(ctx)))
	report.SDK = "aws-sdk-go-v2 " + aws.SDKVersion
	create := &kinesis.CreateStreamInput{StreamName: stream, ShardCount: aws.Int32(2)}
	must(client.CreateStream(ctx, create))
	waitActive(stream)
	answer, err := client.CreateStream(ctx, create)
	expectError("duplicate_create", answer, err)
	for range 3 {
		putOne()
	}
	putMany(500)
	consumer := registerConsumer()
	shards := listShards()
	left, right := shards[0], shards[1]
	subscription := must(subscribe(consumer, *left.ShardId))
	again, err := subscribe(consumer, *left.ShardId)
	expectError("second_subscription", again, err)
	reshard(left, right)
	report.Polled = readAll(pollShard)
	report.FannedOut = readAll(fanOutShard(consumer, map[string]*kinesis.SubscribeToShardOutput{*left.ShardId: subscription}))
	must(client.DeregisterStreamConsumer(ctx, &kinesis.DeregisterStreamConsumerInput{ConsumerARN: consumer}))
	settings()
	secondStream()
	wrongCalls()
	fmt.Println(string(must(json.Marshal(report))))
}

func summary(name *string) *types.StreamDescriptionSummary {
	input := &kinesis.DescribeStreamSummaryInput{StreamName: name}
	return must(client.DescribeStreamSummary(ctx, input)).StreamDescriptionSummary
}

func registerConsumer() *string {
	registered := must(client.RegisterStreamConsumer(ctx, &kinesis.RegisterStreamConsumerInput{
		StreamARN: summary(stream).StreamARN, ConsumerName: aws.String("reader")}))
	describe := &kinesis.DescribeStreamConsumerInput{ConsumerARN: registered.Consumer.ConsumerARN}
	for must(client.DescribeStreamConsumer(ctx, describe)).ConsumerDescription.ConsumerStatus != types.ConsumerStatusActive {
	}
	return registered.Consumer.ConsumerARN
}

// reshard splits the left shard while it is subscribed to, then merges its upper half with the
// right one.
func reshard(left, right types.Shard) {
	split := kinesis.SplitShardInput{StreamName: stream, ShardToSplit: left.ShardId, NewStartingHashKey: aws.String("0")}
	answer, err := client.SplitShard(ctx, &split)
	expectError("bad_split_key", answer, err)
	split.NewStartingHashKey = middle(left)
	must(client.SplitShard(ctx, &split))
	waitActive(stream)
	answer, err = client.SplitShard(ctx, &split)
	expectError("closed_shard", answer, err)
	putMany(100)
	var halves []*string
	for _, shard := range listShards() {
		if aws.ToString(shard.ParentShardId) == *left.ShardId {
			halves = append(halves, shard.ShardId)
		}
	}
	merge := kinesis.MergeShardsInput{StreamName: stream, ShardToMerge: halves[0], AdjacentShardToMerge: right.ShardId}
	merged, err := client.MergeShards(ctx, &merge)
	expectError("not_adjacent", merged, err)
	merge.ShardToMerge = halves[1]
	must(client.MergeShards(ctx, &merge))
	waitActive(stream)
	putMany(100)
	for _, shard := range listShards() {
		parents := []string{}
		for _, parent := range []*string{shard.ParentShardId, shard.AdjacentParentShardId} {
			if parent != nil {
				parents = append(parents, *parent)
			}
		}
		report.Lineage[*shard.ShardId] = parents
	}
}

func settings() {
	must(client.IncreaseStreamRetentionPeriod(ctx, &kinesis.IncreaseStreamRetentionPeriodInput{
		StreamName: stream, RetentionPeriodHours: aws.Int32(48)}))
	must(client.DecreaseStreamRetentionPeriod(ctx, &kinesis.DecreaseStreamRetentionPeriodInput{
		StreamName: stream, RetentionPeriodHours: aws.Int32(36)}))
	report.RetentionHours = *summary(stream).RetentionPeriodHours
	must(client.AddTagsToStream(ctx, &kinesis.AddTagsToStreamInput{
		StreamName: stream, Tags: map[string]string{"team": "river", "phase": "draft"}}))
	must(client.RemoveTagsFromStream(ctx, &kinesis.RemoveTagsFromStreamInput{StreamName: stream, TagKeys: []string{"phase"}}))
	for _, tag := range must(client.ListTagsForStream(ctx, &kinesis.ListTagsForStreamInput{StreamName: stream})).Tags {
		report.Tags[*tag.Key] = *tag.Value
	}
}

// secondStream shows that LATEST means the moment of the call, that bytes are kept as they are,
// and that a stream goes.
func secondStream() {
	must(client.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: second, ShardCount: aws.Int32(1)}))
	waitActive(second)
	for pages := kinesis.NewListStreamsPaginator(client, &kinesis.ListStreamsInput{}); pages.HasMorePages(); {
		for _, name := range must(pages.NextPage(ctx)).StreamNames {
			if strings.HasPrefix(name, *stream) {
				report.Listed = append(report.Listed, name)
			}
		}
	}
	latest := iteratorOf(second, "shardId-000000000000", types.ShardIteratorTypeLatest)
	data := make([]byte, 256)
	for n := range data {
		data[n] = byte(n)
	}
	must(client.PutRecord(ctx, &kinesis.PutRecordInput{StreamName: second, PartitionKey: aws.String("ключ"), Data: data}))
	for _, one := range must(client.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: latest})).Records {
		report.Echo = append(report.Echo, [2]string{*one.PartitionKey, hex.EncodeToString(one.Data)})
	}
	must(client.DeleteStream(ctx, &kinesis.DeleteStreamInput{StreamName: second}))
	gone := kinesis.NewStreamNotExistsWaiter(client, func(o *kinesis.StreamNotExistsWaiterOptions) { o.MinDelay = time.Second })
	if err := gone.Wait(ctx, &kinesis.DescribeStreamInput{StreamName: second}, 30*time.Second); err != nil {
		log.Fatal(err)
	}
}

func wrongCalls() {
	unknown, err := client.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: second})
	expectError("unknown_stream", unknown, err)
	bad, err := client.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: aws.String("nonsense")})
	expectError("bad_iterator", bad, err)
	var entries []types.PutRecordsRequestEntry
	for n := range 501 {
		entries = append(entries, record(n))
	}
	many, err := client.PutRecords(ctx, &kinesis.PutRecordsInput{StreamName: stream, Records: entries})
	expectError("too_many_records", many, err)
	large, err := client.PutRecord(ctx, &kinesis.PutRecordInput{
		StreamName: stream, PartitionKey: aws.String("k"), Data: bytes.Repeat([]byte("x"), 1<<20)})
	expectError("oversize_record", large, err)
	invalid, err := client.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: aws.String("not/a/name"), ShardCount: aws.Int32(1)})
	expectError("validation", invalid, err)
}
