//! The rules of named tails, told again as a model that knows every tail there ever was.

use proptest::prelude::*;

use super::*;

const RULES: Rules = Rules { names_max: 2, hold: Duration::from_secs(5) };

#[derive(Clone, Debug)]
enum Step {
    Open {
        name: u8,
        id: u64,
    },
    /// The tail opened as the `pick`th ends, whether or not it was told to.
    Close {
        pick: usize,
    },
    Wait {
        millis: u64,
    },
    NewTerm,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0..3u8, 0..4u64).prop_map(|(name, id)| Step::Open { name, id }),
        2 => any::<usize>().prop_map(|pick| Step::Close { pick }),
        3 => prop_oneof![Just(1), Just(2_500), Just(4_999), Just(5_000)].prop_map(|millis| Step::Wait { millis }),
        1 => Just(Step::NewTerm),
    ];
    prop::collection::vec(step, 1..60)
}

/// One admitted tail; its handle is its place in the list of all.
#[derive(Clone, Debug)]
struct ModelTail {
    name: u8,
    id: u64,
    id_since: Instant,
    place: Place,
    live: bool,
}

#[derive(Debug)]
struct Model {
    now: Instant,
    term: u64,
    tails: Vec<ModelTail>,
    /// Of the name that is held now, the ids that were taken over.
    taken_over: HashMap<u8, Vec<u64>>,
}

impl Model {
    fn live(&self, name: u8) -> Option<usize> {
        let live: Vec<usize> =
            (0..self.tails.len()).filter(|at| self.tails[*at].live && self.tails[*at].name == name).collect();
        assert!(live.len() <= 1, "two tails of one name: {live:?}");
        live.first().copied()
    }

    fn expected(&self, name: u8, id: u64) -> Result<Option<usize>, SubscriptionError> {
        let Some(at) = self.live(name) else {
            let names = self.tails.iter().filter(|tail| tail.live).count();
            let full = names >= RULES.names_max;
            return if full { Err(SubscriptionError::TooMany { limit: RULES.names_max }) } else { Ok(None) };
        };
        let holder = &self.tails[at];
        let since = self.now - holder.id_since;
        if holder.id == id {
            Ok(Some(at))
        } else if self.taken_over.get(&name).is_some_and(|ids| ids.contains(&id)) {
            Err(SubscriptionError::TakenOver)
        } else if since < RULES.hold {
            Err(SubscriptionError::AlreadySubscribed { since, hold: RULES.hold })
        } else {
            Ok(Some(at))
        }
    }

    fn end(&mut self, at: usize) {
        if std::mem::take(&mut self.tails[at].live) {
            self.taken_over.remove(&self.tails[at].name);
        }
    }

    fn admit(&mut self, name: u8, id: u64, place: Place, other: Option<usize>) {
        let mut id_since = self.now;
        if let Some(other) = other {
            let other = &mut self.tails[other];
            other.live = false;
            match other.id == id {
                true => id_since = other.id_since,
                false => self.taken_over.entry(name).or_default().push(other.id),
            }
        }
        self.tails.push(ModelTail { name, id, id_since, place, live: true });
    }
}

proptest! {
    #[test]
    fn a_name_has_one_tail_which_yields_when_it_is_old_enough_or_reconnects(steps in steps()) {
        let mut model = Model { now: Instant::now(), term: 1, tails: Vec::new(), taken_over: HashMap::new() };
        let mut subscriptions = Subscriptions::new(RULES);
        for step in steps {
            match step {
                Step::Wait { millis } => model.now += Duration::from_millis(millis),
                Step::Close { .. } if model.tails.is_empty() => {}
                Step::Close { pick } => {
                    let at = pick % model.tails.len();
                    let tail = model.tails[at].clone();
                    subscriptions.close(&tail.name.to_string(), tail.place);
                    model.end(at);
                }
                Step::NewTerm => {
                    model.term += 1;
                    (0..model.tails.len()).for_each(|at| model.end(at));
                }
                Step::Open { name, id } => {
                    let expected = model.expected(name, id);
                    let handle = model.tails.len();
                    let opened = subscriptions.open(model.term, &name.to_string(), id, handle, model.now);
                    let told = opened.as_ref().map(|admitted| admitted.taken_over).map_err(|error| *error);
                    prop_assert_eq!(told, expected);
                    if let Ok(Admitted { place, taken_over }) = opened {
                        model.admit(name, id, place, taken_over);
                    }
                }
            }
        }
    }
}

#[test]
fn a_flapping_reconnect_does_not_prolong_its_hold() {
    let (mut subscriptions, start) = (Subscriptions::new(RULES), Instant::now());
    for second in 0..5 {
        subscriptions.open(1, "reader", 1, "first", start + Duration::from_secs(second)).unwrap();
    }
    let admitted = subscriptions.open(1, "reader", 2, "second", start + Duration::from_secs(5)).unwrap();
    assert_eq!(admitted.taken_over, Some("first"));
}

#[test]
fn what_is_remembered_of_a_name_is_bounded() {
    let (mut subscriptions, start) = (Subscriptions::new(RULES), Instant::now());
    for id in 0..100 {
        subscriptions.open(1, "reader", id, (), start + RULES.hold * id as u32).unwrap();
    }
    assert_eq!(subscriptions.holders["reader"].taken_over, (91..99).collect::<Vec<_>>());
}
