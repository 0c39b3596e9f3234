//! The names of streams and consumers across the world: ARNs.
//!
//! ```text
//!   arn:aws:kinesis:eu-west-1:000000000000:stream/orders
//!   arn:aws:kinesis:eu-west-1:000000000000:stream/orders/consumer/billing:1598877600
//! ```
//! Holds: what parses prints as it was, and the other way round. As tolerant as the service's own
//! patterns about partition and region, and about nothing else. Whether account and region are
//! this cluster's is for the caller to say.

use std::fmt;
use std::str::FromStr;

use thalweg_types::StreamName;

/// Longest ARN that the service takes.
const CHARS_MAX: usize = 2048;
const ACCOUNT_DIGITS: usize = 12;

/// The ARN of a stream.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamArn {
    /// `aws`, or a name that begins so.
    pub partition: String,
    /// The region, as the client names it.
    pub region: String,
    /// Twelve digits.
    pub account: String,
    /// The stream.
    pub stream: StreamName,
}

/// The ARN of an enhanced fan-out consumer. A consumer that is registered again has a new one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConsumerArn {
    /// Its stream.
    pub stream: StreamArn,
    /// Its name.
    pub consumer: String,
    /// When it was registered, in seconds since 1970.
    pub created_secs: u64,
}

/// The ARN of anything that carries tags and policies.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResourceArn {
    /// A stream.
    Stream(StreamArn),
    /// A consumer of a stream.
    Consumer(ConsumerArn),
}

/// A text that is not an ARN of the wanted sort.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is not the ARN of a {wanted}, such as {example}")]
pub struct ArnError {
    /// The text, cut to 200 characters.
    pub given: String,
    /// What was wanted.
    pub wanted: &'static str,
    /// What one looks like.
    pub example: &'static str,
}

const STREAM: (&str, &str) = ("stream", "arn:aws:kinesis:us-east-1:000000000000:stream/orders");
const CONSUMER: (&str, &str) =
    ("consumer", "arn:aws:kinesis:us-east-1:000000000000:stream/orders/consumer/billing:1598877600");
const RESOURCE: (&str, &str) = ("stream or consumer", STREAM.1);

fn error(given: &str, (wanted, example): (&'static str, &'static str)) -> ArnError {
    ArnError { given: given.chars().take(200).collect(), wanted, example }
}

impl StreamArn {
    /// The ARN of one of the stream's consumers.
    pub fn consumer(self, name: impl Into<String>, created_secs: u64) -> ConsumerArn {
        ConsumerArn { stream: self, consumer: name.into(), created_secs }
    }
}

impl ResourceArn {
    /// The stream that it is, or belongs to.
    pub fn stream(&self) -> &StreamArn {
        match self {
            ResourceArn::Stream(stream) => stream,
            ResourceArn::Consumer(consumer) => &consumer.stream,
        }
    }

    fn read(text: &str) -> Option<ResourceArn> {
        if text.len() > CHARS_MAX {
            return None;
        }
        let mut parts = text.splitn(6, ':');
        let mut part = || parts.next();
        let (prefix, partition, service, region, account, resource) =
            (part()?, part()?, part()?, part()?, part()?, part()?);
        let known = prefix == "arn" && partition.starts_with("aws") && service == "kinesis";
        let digits = account.len() == ACCOUNT_DIGITS && account.bytes().all(|byte| byte.is_ascii_digit());
        let rest = resource.strip_prefix("stream/").filter(|_| known && digits)?;
        let (name, consumer) = match rest.split_once('/') {
            Some((name, consumer)) => (name, Some(consumer)),
            None => (rest, None),
        };
        let stream = StreamArn {
            partition: partition.to_owned(),
            region: region.to_owned(),
            account: account.to_owned(),
            stream: name.parse().ok()?,
        };
        let Some(consumer) = consumer else { return Some(ResourceArn::Stream(stream)) };
        let (consumer, created) = consumer.strip_prefix("consumer/")?.split_once(':')?;
        // Consumers and streams are named by the same rule; a number has one spelling.
        let _: StreamName = consumer.parse().ok()?;
        let created_secs = created.parse().ok().filter(|secs: &u64| secs.to_string() == created)?;
        Some(ResourceArn::Consumer(stream.consumer(consumer, created_secs)))
    }
}

impl FromStr for ResourceArn {
    type Err = ArnError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        ResourceArn::read(text).ok_or_else(|| error(text, RESOURCE))
    }
}

impl FromStr for StreamArn {
    type Err = ArnError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match ResourceArn::read(text) {
            Some(ResourceArn::Stream(stream)) => Ok(stream),
            _ => Err(error(text, STREAM)),
        }
    }
}

impl FromStr for ConsumerArn {
    type Err = ArnError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match ResourceArn::read(text) {
            Some(ResourceArn::Consumer(consumer)) => Ok(consumer),
            _ => Err(error(text, CONSUMER)),
        }
    }
}

impl fmt::Display for StreamArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let StreamArn { partition, region, account, stream } = self;
        write!(f, "arn:{partition}:kinesis:{region}:{account}:stream/{stream}")
    }
}

impl fmt::Display for ConsumerArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/consumer/{}:{}", self.stream, self.consumer, self.created_secs)
    }
}

impl fmt::Display for ResourceArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ResourceArn::Stream(stream) => stream.fmt(f),
            ResourceArn::Consumer(consumer) => consumer.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn arns_of_all_partitions_read_back() {
        for text in [
            STREAM.1,
            CONSUMER.1,
            "arn:aws-cn:kinesis:cn-north-1:123456789012:stream/a.b_c-d",
            "arn:aws::kinesis:x:123456789012:stream/a".replace("aws::", "aws:").as_str(),
            "arn:aws:kinesis::123456789012:stream/no-region",
        ] {
            let arn: ResourceArn = text.parse().unwrap();
            assert_eq!(arn.to_string(), text);
        }
        assert_eq!(CONSUMER.1.parse::<ConsumerArn>().unwrap().created_secs, 1_598_877_600);
    }

    #[test]
    fn each_sort_of_arn_is_refused_where_the_other_is_wanted() {
        let refused = CONSUMER.1.parse::<StreamArn>().unwrap_err();
        assert!(refused.to_string().contains("is not the ARN of a stream, such as arn:aws:"), "{refused}");
        assert!(STREAM.1.parse::<ConsumerArn>().is_err());
    }

    #[test]
    fn what_the_service_would_not_take_is_refused() {
        for bad in [
            "",
            "orders",
            "arn:gcp:kinesis:r:123456789012:stream/a",
            "arn:aws:s3:r:123456789012:stream/a",
            "arn:aws:kinesis:r:12345678901:stream/a",
            "arn:aws:kinesis:r:12345678901x:stream/a",
            "arn:aws:kinesis:r:123456789012:queue/a",
            "arn:aws:kinesis:r:123456789012:stream/",
            "arn:aws:kinesis:r:123456789012:stream/a b",
            "arn:aws:kinesis:r:123456789012:stream/a/consumer/b",
            "arn:aws:kinesis:r:123456789012:stream/a/consumer/b:",
            "arn:aws:kinesis:r:123456789012:stream/a/consumer/b:+1",
            "arn:aws:kinesis:r:123456789012:stream/a/consumer/b:01",
            "arn:aws:kinesis:r:123456789012:stream/a/consumer/:1",
        ] {
            assert!(bad.parse::<ResourceArn>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn arns_print_and_parse(
            partition in "aws[-a-z]{0,8}", region in "[-a-z0-9]{0,16}", account in "[0-9]{12}",
            stream in "[a-zA-Z0-9_.-]{1,128}", consumer in "[a-zA-Z0-9_.-]{1,128}", created_secs: u64,
        ) {
            let stream = StreamArn { partition, region, account, stream: stream.parse().unwrap() };
            prop_assert_eq!(stream.to_string().parse(), Ok(stream.clone()));
            let consumer = stream.consumer(consumer, created_secs);
            prop_assert_eq!(consumer.to_string().parse(), Ok(consumer));
        }

        #[test]
        fn no_text_makes_the_parser_panic_and_what_parses_prints_as_it_was(text in "(arn:aws:kinesis:)?.{0,60}") {
            if let Ok(arn) = text.parse::<ResourceArn>() {
                prop_assert_eq!(arn.to_string(), text);
            }
        }
    }
}
