//! PutRecord and PutRecords from a number of callers, each with a connection of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::Target;
use super::compare::{self, Phase, Sides};
use super::connection::{Connection, RequestError};
use super::native::Native;
use super::program::{About, Program};
use super::requests::Requests;
use crate::commands::bench::load::{Batches, Payloads};
use crate::commands::bench::meter::Meter;
use crate::commands::bench::pace;
use crate::commands::bench::produce::{ProduceArgs, said};
use crate::commands::bench::report::Report;
use crate::commands::bench::session::Session;
use crate::exit::Failure;
use crate::human::Rate;
use crate::progress;

/// A request that may be made again is, after this and for so long.
const RETRY_AFTER: Duration = Duration::from_millis(20);
const RETRY_FOR: Duration = Duration::from_secs(30);

/// Measures the front, in turns with the native API where that is asked for.
pub(crate) async fn produce(session: &Session, args: &ProduceArgs) -> anyhow::Result<Report> {
    let mut random = StdRng::from_os_rng();
    let payloads = Payloads::new(args.common.record_size as usize, &mut random);
    let target = Arc::new(Target::of(session, &args.api).await?);
    let mut load = Load::prepare(session, args, &target, &payloads, &mut random).await?;
    let spinner = progress::spinner(format!("writing to `{}`", session.name()));
    let mut sides = Sides::default();
    for _ in 0..args.api.turns() {
        let front = load.measure(session, args, &target).await?;
        if args.api.compares() {
            let batches = Batches::pack(&session.image, &payloads, front.records_per_batch(), &mut random);
            let native = Native::like(session, args, &front, batches);
            let sending = |meter| native.run(meter);
            sides.native(Phase::measure(session, &args.common, sending).await);
        }
        sides.front(front);
    }
    spinner.finish_and_clear();
    Ok(report(session, args, &sides, load.about()))
}

/// What makes the requests.
enum Load {
    BuiltIn(Arc<Requests>),
    Program(Box<Program>),
}

impl Load {
    async fn prepare(
        session: &Session,
        args: &ProduceArgs,
        target: &Target,
        payloads: &Payloads,
        random: &mut StdRng,
    ) -> anyhow::Result<Load> {
        if let Some(path) = &args.put.client {
            if !matches!(args.rate, Rate::Max) {
                return Err(Failure::usage("--client puts as fast as it can; leave out --rate").into());
            }
            return Ok(Load::Program(Box::new(Program::start(path, session, target, args).await?)));
        }
        let size = (args.put.batch_records as usize, args.common.record_size as usize);
        Ok(Load::BuiltIn(Arc::new(Requests::encode(target, session.name(), payloads, size, random))))
    }

    async fn measure(&mut self, session: &Session, args: &ProduceArgs, target: &Arc<Target>) -> anyhow::Result<Phase> {
        match self {
            Load::BuiltIn(requests) => {
                let begun = Arc::new(AtomicU64::new(0));
                let callers = |meter| all_callers(target, requests, args, meter, &begun);
                Ok(Phase::measure(session, &args.common, callers).await.with_batches(&begun))
            }
            Load::Program(program) => Phase::counted(session, &args.common, program.measure()).await,
        }
    }

    fn about(&self) -> Option<&About> {
        match self {
            Load::BuiltIn(_) => None,
            Load::Program(program) => Some(&program.about),
        }
    }
}

fn report(session: &Session, args: &ProduceArgs, sides: &Sides, client: Option<&About>) -> Report {
    let operation = if args.put.batch_records == 1 { "PutRecord" } else { "PutRecords" };
    let mut report = Report::new("produce", session, &args.common);
    args.api.tell(&mut report, operation, client);
    report.set("records_per_call", args.put.batch_records);
    report.set("callers", args.concurrency);
    report.set("rate", said(args.rate));
    report.fact("callers", format!("{} with {} records a request", args.concurrency, args.put.batch_records));
    compare::report(&mut report, session, sides, u64::from(args.put.batch_records));
    report
}

/// What a caller needs.
struct Caller {
    connection: Connection,
    requests: Arc<Requests>,
    meter: Arc<Meter>,
    batches: Arc<AtomicU64>,
}

/// Runs the callers until the measured time is over and everything is answered.
async fn all_callers(
    target: &Arc<Target>,
    requests: &Arc<Requests>,
    args: &ProduceArgs,
    meter: Arc<Meter>,
    batches: &Arc<AtomicU64>,
) {
    let count = args.concurrency as usize;
    let per_second = args.rate.records_per_second(u64::from(args.common.record_size));
    let moments = per_second.map(|records| pace::moments(records / requests.records as f64, meter.until()));
    let moments = moments.map(|moments| Arc::new(Mutex::new(moments)));
    let mut callers = JoinSet::new();
    for nth in 0..count {
        let connection = Connection::new(target.clone(), nth);
        let (meter, batches) = (meter.clone(), batches.clone());
        let caller = Caller { connection, requests: requests.clone(), meter, batches };
        callers.spawn(caller.run(nth, count, moments.clone()));
    }
    callers.join_all().await;
}

type Moments = Arc<Mutex<mpsc::UnboundedReceiver<Instant>>>;

impl Caller {
    async fn run(mut self, first: usize, step: usize, moments: Option<Moments>) {
        let mut nth = first;
        loop {
            let intended = match &moments {
                None if self.meter.is_over() => return,
                None => Instant::now(),
                Some(moments) => match moments.lock().await.recv().await {
                    Some(due) => due,
                    None => return,
                },
            };
            self.put(nth, intended).await;
            nth += step;
        }
    }

    /// Makes one request, again as long as that may help.
    async fn put(&mut self, nth: usize, intended: Instant) {
        let requests = self.requests.clone();
        let begun = Instant::now();
        loop {
            let answer = self.connection.send(requests.get(nth)).await;
            let outcome = answer.map(|answer| requests.batches_begun(&answer));
            match outcome {
                Ok(Ok(batches)) => {
                    self.batches.fetch_add(batches, Ordering::Relaxed);
                    return self.meter.done(intended, requests.records as u64, requests.data_bytes);
                }
                Ok(Err(why)) => return self.meter.failed(&why),
                Err(RequestError::Again(_)) if begun.elapsed() < RETRY_FOR => self.meter.retried(),
                Err(error) => return self.meter.failed(&error),
            }
            sleep(RETRY_AFTER).await;
        }
    }
}
