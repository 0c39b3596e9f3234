#!/usr/bin/env bash
# The AWS CLI through one stream's life: create, write, reshard, read everything back, delete.
#
# Everything about the server comes from the environment that AWS's tools read. The last line of
# the output is the report that tests/clients/clients.rs checks. `aws` is version 1, where blobs
# are given as they are and come back as base64.
set -euo pipefail

second="$STREAM-second"
keys=50
report=$(mktemp -d); trap 'rm -rf "$report"' EXIT
touch "$report"/{written,polled,errors}

kinesis() { aws --output json kinesis "$@"; }
fail() { echo "$*" >&2; exit 1; }

wait_active() {
  until [ "$(kinesis describe-stream-summary --stream-name "$1" \
    --query StreamDescriptionSummary.StreamStatus)" = '"ACTIVE"' ]; do :; done
}

# expect_error NAME ARGUMENTS...: notes the error that a wrong call gets.
expect_error() {
  local name=$1 said; shift
  if said=$(kinesis "$@" 2>&1 > /dev/null); then fail "$name: the call succeeded"; fi
  said=$(grep 'An error occurred' <<< "$said") || fail "$name: no error of the service: $said"
  jq -nc --arg name "$name" --arg said "$said" \
    '{($name): [($said | capture("\\((?<code>\\w+)\\)").code), ($said | sub("^.*? operation: "; ""))]}' >> "$report/errors"
}

# --- writing: record n has key n % keys, so the n of a key rises

written() { wc -l < "$report/written"; }
note() { jq -c '[.PartitionKey, .Data, .ShardId, .SequenceNumber]' >> "$report/written"; }
records() { # records FIRST COUNT
  jq -nc --argjson first "$1" --argjson count "$2" --argjson keys $keys \
    '[range($first; $first + $count) | {PartitionKey: "key-\(. % $keys)", Data: "\(. % $keys):\(.):"}]'
}

put_one() {
  local n key data
  n=$(written); key=key-$((n % keys)); data=$((n % keys)):$n:
  kinesis put-record --stream-name "$STREAM" --partition-key "$key" --data "$data" \
    | jq -c --arg key "$key" --arg data "$data" '. + {PartitionKey: $key, Data: $data}' | note
}

put_many() {
  local answer
  records "$(written)" "$1" > "$report/entries"
  answer=$(kinesis put-records --stream-name "$STREAM" --records "file://$report/entries")
  [ "$(jq '[.FailedRecordCount, (.Records | length)] == [0, '"$1"']' <<< "$answer")" = true ] || fail "$answer"
  jq -c --slurpfile entries "$report/entries" '[$entries[0], .Records] | transpose[] | add' <<< "$answer" | note
}

# --- reading: a shard after all of its parents

list_shards() { kinesis list-shards --stream-name "$STREAM"; }

iterator() { # iterator STREAM SHARD TYPE
  kinesis get-shard-iterator --stream-name "$1" --shard-id "$2" --shard-iterator-type "$3" | jq -r .ShardIterator
}

# poll SHARD IS_OPEN: reads a shard to its end, or an open one to its tip; says which shards follow.
poll() {
  local next answer
  next=$(iterator "$STREAM" "$1" TRIM_HORIZON)
  while true; do
    answer=$(kinesis get-records --shard-iterator "$next" --limit 400)
    jq -c --arg shard "$1" '.Records[] | [.PartitionKey, (.Data | @base64d), $shard, .SequenceNumber]' \
      <<< "$answer" >> "$report/polled"
    next=$(jq -r '.NextShardIterator // empty' <<< "$answer")
    if [ -z "$next" ]; then jq -c '.ChildShards[]' <<< "$answer"; return; fi
    if [ "$2" = true ] && [ "$(jq .MillisBehindLatest <<< "$answer")" = 0 ]; then return; fi
  done
}

# Reads the shards without parents, then whatever children they say they have.
read_all() {
  local shards queue done='[]' shard open children
  shards=$(list_shards | jq -c '[.Shards[] | {key: .ShardId, value: .}] | from_entries')
  queue=$(jq -c '[.[] | select(.ParentShardId | not).ShardId]' <<< "$shards")
  while [ "$queue" != '[]' ]; do
    shard=$(jq -r '.[0]' <<< "$queue")
    open=$(jq --arg shard "$shard" '.[$shard].SequenceNumberRange | has("EndingSequenceNumber") | not' <<< "$shards")
    children=$(poll "$shard" "$open" | jq -sc .)
    done=$(jq -c --arg shard "$shard" '. + [$shard]' <<< "$done")
    queue=$(jq -c --argjson done "$done" --argjson children "$children" \
      '.[1:] + [$children[] | select(.ParentShards - $done == []).ShardId] - $done' <<< "$queue")
  done
}

# --- the story

kinesis create-stream --stream-name "$STREAM" --shard-count 2
wait_active "$STREAM"
expect_error duplicate_create create-stream --stream-name "$STREAM" --shard-count 2
for _ in 1 2 3; do put_one; done
put_many 500

# The left shard is split in its middle, then its upper half merged with the right one.
shards=$(list_shards)
left=$(jq -r '.Shards[0].ShardId' <<< "$shards")
right=$(jq -r '.Shards[1].ShardId' <<< "$shards")
split=(split-shard --stream-name "$STREAM" --shard-to-split "$left" --new-starting-hash-key)
middle=$(python3 -c "print(2**126)")
expect_error bad_split_key "${split[@]}" 0
kinesis "${split[@]}" "$middle"
wait_active "$STREAM"
expect_error closed_shard "${split[@]}" "$middle"
put_many 100
halves=$(list_shards | jq -c --arg left "$left" '[.Shards[] | select(.ParentShardId == $left).ShardId]')
merge=(merge-shards --stream-name "$STREAM" --adjacent-shard-to-merge "$right" --shard-to-merge)
expect_error not_adjacent "${merge[@]}" "$(jq -r '.[0]' <<< "$halves")"
kinesis "${merge[@]}" "$(jq -r '.[1]' <<< "$halves")"
wait_active "$STREAM"
put_many 100
read_all
lineage=$(list_shards | jq -c '[.Shards[]
  | {key: .ShardId, value: [.ParentShardId, .AdjacentParentShardId | select(.)]}] | from_entries')

# Settings.
kinesis increase-stream-retention-period --stream-name "$STREAM" --retention-period-hours 48
kinesis decrease-stream-retention-period --stream-name "$STREAM" --retention-period-hours 36
retention=$(kinesis describe-stream-summary --stream-name "$STREAM" --query StreamDescriptionSummary.RetentionPeriodHours)
kinesis add-tags-to-stream --stream-name "$STREAM" --tags team=river,phase=draft
kinesis remove-tags-from-stream --stream-name "$STREAM" --tag-keys phase
tags=$(kinesis list-tags-for-stream --stream-name "$STREAM" | jq -c '[.Tags[] | {key: .Key, value: .Value}] | from_entries')

# A second stream: LATEST means the moment of the call, bytes are kept as they are, and it goes.
kinesis create-stream --stream-name "$second" --shard-count 1
wait_active "$second"
listed=$(kinesis list-streams | jq -c --arg stream "$STREAM" '[.StreamNames[] | select(startswith($stream))]')
latest=$(iterator "$second" shardId-000000000000 LATEST)
python3 -c "open('$report/data', 'wb').write(bytes(range(256)))"
kinesis put-record --stream-name "$second" --partition-key ключ --data "fileb://$report/data" > /dev/null
answer=$(kinesis get-records --shard-iterator "$latest")
hex() { base64 -d | od -An -v -tx1 | tr -d ' \n'; }
echo=$(jq -nc --arg key "$(jq -r '.Records[].PartitionKey' <<< "$answer")" \
  --arg data "$(jq -r '.Records[].Data' <<< "$answer" | hex)" '[[$key, $data]]')
kinesis delete-stream --stream-name "$second"
aws kinesis wait stream-not-exists --stream-name "$second"

# Wrong calls.
expect_error unknown_stream describe-stream-summary --stream-name "$second"
expect_error bad_iterator get-records --shard-iterator nonsense
records 0 501 > "$report/entries"
expect_error too_many_records put-records --stream-name "$STREAM" --records "file://$report/entries"
head -c 1048576 /dev/zero > "$report/data"
expect_error oversize_record put-record --stream-name "$STREAM" --partition-key k --data "fileb://$report/data"
expect_error validation create-stream --stream-name not/a/name --shard-count 1

jq -nc --arg sdk "$(aws --version)" --slurpfile written "$report/written" --slurpfile polled "$report/polled" \
  --slurpfile errors "$report/errors" --argjson lineage "$lineage" --argjson retention_hours "$retention" \
  --argjson tags "$tags" --argjson listed "$listed" --argjson echo "$echo" \
  '$ARGS.named + {errors: ($errors | add)}'
