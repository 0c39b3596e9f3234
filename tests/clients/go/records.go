package main

import (
	"fmt"
	"log"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

const keys = 50

// Writing: record n has key n % keys, so the n of a key rises.

func record(n int) types.PutRecordsRequestEntry {
	return types.PutRecordsRequestEntry{
		PartitionKey: aws.String(fmt.Sprintf("key-%d", n%keys)),
		Data:         fmt.Appendf(nil, "%d:%d:", n%keys, n),
	}
}

func note(entry types.PutRecordsRequestEntry, shard, number *string) {
	report.Written = append(report.Written, [4]string{*entry.PartitionKey, string(entry.Data), *shard, *number})
}

func putOne() {
	entry := record(len(report.Written))
	input := &kinesis.PutRecordInput{StreamName: stream, PartitionKey: entry.PartitionKey, Data: entry.Data}
	answer := must(client.PutRecord(ctx, input))
	note(entry, answer.ShardId, answer.SequenceNumber)
}

func putMany(count int) {
	var entries []types.PutRecordsRequestEntry
	for n := range count {
		entries = append(entries, record(len(report.Written)+n))
	}
	answer := must(client.PutRecords(ctx, &kinesis.PutRecordsInput{StreamName: stream, Records: entries}))
	if *answer.FailedRecordCount != 0 || len(answer.Records) != count {
		log.Fatalf("PutRecords: %d failed of %d", *answer.FailedRecordCount, len(answer.Records))
	}
	for n, result := range answer.Records {
		note(entries[n], result.ShardId, result.SequenceNumber)
	}
}

// Reading: a shard after all of its parents.

func listShards() []types.Shard {
	var shards []types.Shard
	input := &kinesis.ListShardsInput{StreamName: stream}
	for {
		page := must(client.ListShards(ctx, input))
		shards = append(shards, page.Shards...)
		if page.NextToken == nil {
			return shards
		}
		input = &kinesis.ListShardsInput{NextToken: page.NextToken}
	}
}

type readShard func(shard string, open bool, records *[][4]string) []types.ChildShard

// readAll reads the shards without parents, then whatever children they say they have.
func readAll(read readShard) (records [][4]string) {
	var queue []string
	open, done := map[string]bool{}, map[string]bool{}
	for _, shard := range listShards() {
		open[*shard.ShardId] = shard.SequenceNumberRange.EndingSequenceNumber == nil
		if shard.ParentShardId == nil {
			queue = append(queue, *shard.ShardId)
		}
	}
	for ; len(queue) > 0; queue = queue[1:] {
		children := read(queue[0], open[queue[0]], &records)
		done[queue[0]] = true
		for _, child := range children {
			ready := !done[*child.ShardId]
			for _, parent := range child.ParentShards {
				ready = ready && done[parent]
			}
			if ready {
				queue = append(queue, *child.ShardId)
			}
		}
	}
	return records
}

func noteRead(records *[][4]string, shard string, found []types.Record) {
	for _, one := range found {
		*records = append(*records, [4]string{*one.PartitionKey, string(one.Data), shard, *one.SequenceNumber})
	}
}

// pollShard reads a shard to its end, or an open one to its tip; it returns the shards that follow.
func pollShard(shard string, open bool, records *[][4]string) []types.ChildShard {
	iterator := iteratorOf(stream, shard, types.ShardIteratorTypeTrimHorizon)
	for {
		answer := must(client.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: iterator, Limit: aws.Int32(100)}))
		noteRead(records, shard, answer.Records)
		if answer.NextShardIterator == nil {
			return answer.ChildShards
		}
		if open && *answer.MillisBehindLatest == 0 {
			return nil
		}
		iterator = answer.NextShardIterator
	}
}

func iteratorOf(name *string, shard string, kind types.ShardIteratorType) *string {
	input := &kinesis.GetShardIteratorInput{StreamName: name, ShardId: &shard, ShardIteratorType: kind}
	return must(client.GetShardIterator(ctx, input)).ShardIterator
}

func subscribe(consumer *string, shard string) (*kinesis.SubscribeToShardOutput, error) {
	return client.SubscribeToShard(ctx, &kinesis.SubscribeToShardInput{
		ConsumerARN:      consumer,
		ShardId:          &shard,
		StartingPosition: &types.StartingPosition{Type: types.ShardIteratorTypeTrimHorizon},
	})
}

func fanOutShard(consumer *string, subscriptions map[string]*kinesis.SubscribeToShardOutput) readShard {
	return func(shard string, open bool, records *[][4]string) []types.ChildShard {
		subscription, there := subscriptions[shard]
		if !there {
			subscription = must(subscribe(consumer, shard))
		}
		events := subscription.GetStream()
		defer events.Close()
		for union := range events.Events() {
			event := union.(*types.SubscribeToShardEventStreamMemberSubscribeToShardEvent).Value
			noteRead(records, shard, event.Records)
			if event.ContinuationSequenceNumber == nil {
				return event.ChildShards
			}
			if open && *event.MillisBehindLatest == 0 {
				return nil
			}
		}
		log.Fatalf("%s: the subscription ended without a word: %v", shard, events.Err())
		return nil
	}
}
