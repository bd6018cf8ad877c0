//! Several replicas on one API server, with all that goes wrong between them: views that lag behind, writes that come
//! too late, crashes, clocks that differ and jump, and people who delete and restore things.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::seen::AHEAD;
use super::*;

/// How far a watch may lag behind.
const LAG: Duration = Duration::from_secs(2);

/// A third of a leaf's life is enough for all that may come between its end and another one: somebody clears a bundle that has
/// just changed, each replica hears of it late, and waits for it to settle.
fn options() -> Options {
    Options { ca_lifetime: 144 * SECOND, leaf_lifetime: 36 * SECOND, ..super::options() }
}

/// What happens next.
#[derive(Debug, Clone)]
enum Happening {
    /// Time passes, in tenths of a second.
    Pass(u64),
    /// A replica's watch tells it of the Secret (2) or a configuration (0, 1).
    Hear(usize, usize),
    /// A replica decides and does so many of the things that it should.
    Act(usize, usize),
    /// It crashes and starts anew.
    Restart(usize),
    /// Its clock is so many seconds ahead from now on, or behind. The first replica's is always right.
    Clock(usize, i64),
    /// Somebody deletes the Secret, damages it, or puts an older one there.
    Delete,
    Damage,
    RollBack(usize),
    /// Somebody clears the bundles of a configuration, or replaces it by the one of the manual.
    Clear(usize),
    Replace(usize),
    /// Somebody deletes a configuration.
    Remove(usize),
    /// Somebody writes another generation on a configuration.
    Count(usize, u64),
}

fn happenings(wild: bool) -> impl Strategy<Value = Vec<Happening>> {
    let (replica, configuration) = (0..3_usize, 0..2_usize);
    let calm = prop_oneof![
        8 => (1..8_u64).prop_map(Happening::Pass),
        6 => (replica.clone(), 0..3_usize).prop_map(|(who, what)| Happening::Hear(who, what)),
        8 => (replica.clone(), 0..4_usize).prop_map(|(who, many)| Happening::Act(who, many)),
        1 => replica.clone().prop_map(Happening::Restart),
    ];
    let skew = prop_oneof![2 => -40..40_i64, 1 => -3000..3000_i64, 1 => Just(0)];
    let count = prop_oneof![Just(u64::from(u32::MAX)), Just(AHEAD), Just(1 << 40), Just(u64::MAX)];
    let rare = prop_oneof![
        2 => (1..3_usize, skew).prop_map(|(who, ahead)| Happening::Clock(who, ahead)),
        1 => Just(Happening::Delete),
        1 => Just(Happening::Damage),
        1 => (0..9_usize).prop_map(Happening::RollBack),
        1 => configuration.clone().prop_map(Happening::Clear),
        1 => (configuration.clone(), count).prop_map(|(index, count)| Happening::Count(index, count)),
    ];
    let worse =
        prop_oneof![configuration.clone().prop_map(Happening::Replace), configuration.prop_map(Happening::Remove)];
    let all = prop_oneof![40 => calm, 1 => rare, u32::from(wild) => worse];
    prop::collection::vec(all, 300..700)
}

/// An object as the API server holds it.
#[derive(Clone, Default)]
struct Object<T> {
    version: u64,
    content: Option<T>,
}

type Bundle = (Trust, Option<u64>);

struct Replica {
    machine: Machine,
    /// Its clock is so many seconds ahead.
    ahead: i64,
    started: Duration,
    secret: Option<Object<Stored>>,
    configurations: [Option<Object<Bundle>>; 2],
    heard: Duration,
    serving: Option<Arc<Leaf>>,
    /// It has served a leaf that was valid.
    has_served: bool,
}

impl Replica {
    fn start(index: usize, ahead: i64, now: Duration) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "small")]
        let machine = Machine::new(options(), index as f64 / 2.0);
        Self {
            machine,
            ahead,
            started: now,
            secret: None,
            configurations: [None, None],
            heard: now,
            serving: None,
            has_served: false,
        }
    }

    fn seen(&self) -> Seen {
        let secret = match &self.secret {
            None => Sight::Unread,
            Some(Object { content: None, .. }) => Sight::Absent,
            Some(Object { content: Some(stored), .. }) => match Material::read(stored) {
                Ok(Some(material)) => Sight::Whole(Arc::new(material)),
                Ok(None) => Sight::Absent,
                Err(damage) => Sight::Damaged(damage),
            },
        };
        let registrations = self.configurations.iter().map(|configuration| match configuration {
            None => Registration::Unread,
            Some(Object { content: None, .. }) => Registration::Missing,
            Some(Object { content: Some((trust, generation)), .. }) => present(trust, *generation),
        });
        Seen { secret, registrations: registrations.collect() }
    }

    fn moment(&self, now: Duration) -> Moment {
        let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(START.saturating_add_signed(self.ahead)) + now;
        Moment { wall, steady: now.saturating_sub(self.started) }
    }
}

struct World {
    now: Duration,
    version: u64,
    secret: Object<Stored>,
    configurations: [Object<Bundle>; 2],
    /// What an API server may still act upon: bundles with the time at which another replaced them. None of them was
    /// made by hand.
    lately: VecDeque<(Duration, Trust)>,
    /// Whole Secrets of the past.
    backups: Vec<Stored>,
    replicas: Vec<Replica>,
    generation: u64,
}

impl World {
    fn new() -> Self {
        let configuration = || Object { version: 1, content: Some((Trust::default(), None)) };
        Self {
            now: Duration::from_secs(1),
            version: 1,
            secret: Object::default(),
            configurations: [configuration(), configuration()],
            lately: VecDeque::new(),
            backups: Vec::new(),
            replicas: (0..3)
                .zip(0..)
                .map(|(index, ahead)| Replica::start(index, ahead, Duration::from_secs(1)))
                .collect(),
            generation: 0,
        }
    }

    fn tick(&mut self) -> u64 {
        self.version += 1;
        self.version
    }

    /// Someone of flesh and blood changes a configuration.
    fn by_hand(&mut self, index: usize, content: Option<Bundle>) {
        let version = self.tick();
        self.configurations[index] = Object { version, content };
    }

    fn hear(&mut self, who: usize, what: usize) {
        let replica = &mut self.replicas[who];
        match what {
            2 => replica.secret = Some(self.secret.clone()),
            index => replica.configurations[index] = Some(self.configurations[index].clone()),
        }
    }

    fn hear_all(&mut self, who: usize) {
        (0..3).for_each(|what| self.hear(who, what));
        self.replicas[who].heard = self.now;
    }

    fn is_remembered(&self) -> bool {
        let stored = self.secret.content.as_ref().and_then(|stored| Material::read(stored).ok().flatten());
        stored.is_some_and(|material| material.generation == self.generation)
    }

    /// A replica decides; it does `steps` of what it should, and reads again what was refused.
    fn act(&mut self, who: usize, steps: usize) -> usize {
        let decide = |world: &mut Self| {
            let (now, replica) = (world.now, &mut world.replicas[who]);
            let (at, seen) = (replica.moment(now), replica.seen());
            let decision = replica.machine.decide(at, &seen);
            if let Some(leaf) = &decision.serve {
                assert!(seen.trusts(&leaf.ca), "served before it is trusted");
                replica.serving = Some(Arc::clone(leaf));
            }
            decision
        };
        let mut decision = decide(self);
        if !decision.apply.is_empty() {
            // As the shell does.
            self.hear(who, 2);
            decision = decide(self);
        }
        let mut done = 0;
        for index in decision.apply.iter().copied().take(steps) {
            done += 1;
            let known = self.replicas[who].configurations[index].as_ref().unwrap().version;
            if known == self.configurations[index].version {
                let before = self.configurations[index].content.as_ref().unwrap();
                let is_absurd = before.1 > Some(decision.generation + AHEAD);
                assert!(before.1 <= Some(decision.generation) || is_absurd, "a lower generation replaced a higher one");
                self.lately.push_back((self.now, before.0.clone()));
                self.by_hand(index, Some((decision.trust.clone(), Some(decision.generation))));
            }
            self.hear(who, index);
        }
        if let Some(change) = decision.write.filter(|_| done < steps) {
            done += 1;
            let replica = &self.replicas[who];
            if replica.secret.as_ref().unwrap().version == self.secret.version {
                let made = change.make(&options(), replica.moment(self.now).wall).unwrap();
                let before = self.secret.content.as_ref().and_then(|stored| Material::read(stored).ok().flatten());
                let before = before.map_or(0, |material| material.generation);
                assert!(made.generation > before, "{:?}: the generation went back", change.step);
                self.generation = made.generation;
                self.backups.push(made.store());
                self.secret = Object { version: self.tick(), content: Some(made.store()) };
            }
            self.hear(who, 2);
        }
        done
    }

    fn happen(&mut self, happening: &Happening) {
        match *happening {
            Happening::Pass(tenths) => {
                self.now += Duration::from_millis(100 * tenths);
                for who in 0..self.replicas.len() {
                    if self.now >= self.replicas[who].heard + LAG {
                        self.hear_all(who);
                        self.act(who, 3);
                    }
                }
                while self.lately.front().is_some_and(|(until, _)| *until + options().settle <= self.now) {
                    self.lately.pop_front();
                }
            }
            Happening::Hear(who, what) => self.hear(who, what),
            Happening::Act(who, steps) => {
                self.act(who, steps);
            }
            Happening::Clock(who, ahead) => self.replicas[who].ahead = ahead,
            // What only one remembers is lost with it: that is another test.
            Happening::Restart(who) if self.is_remembered() || self.generation == 0 => {
                self.replicas[who] = Replica::start(who, self.replicas[who].ahead, self.now);
            }
            _ if !self.is_remembered() || self.replicas.iter().any(|replica| replica.serving.is_none()) => {}
            Happening::Restart(_) => {}
            Happening::Delete => self.secret = Object { version: self.tick(), content: None },
            Happening::Damage => {
                let mut stored = self.secret.content.clone().unwrap();
                stored.data.insert("tls.key".to_owned(), b"?".to_vec());
                self.secret = Object { version: self.tick(), content: Some(stored) };
            }
            Happening::RollBack(back) => {
                let index = self.backups.len().saturating_sub(2 + back);
                self.secret = Object { version: self.tick(), content: Some(self.backups[index].clone()) };
            }
            Happening::Clear(index) => {
                if let Some((_, generation)) = self.configurations[index].content.clone() {
                    self.by_hand(index, Some((Trust::default(), generation)));
                }
            }
            Happening::Replace(index) => self.by_hand(index, Some((Trust::default(), None))),
            Happening::Remove(index) => self.by_hand(index, None),
            Happening::Count(index, generation) => {
                if let Some((trust, _)) = self.configurations[index].content.clone() {
                    self.by_hand(index, Some((trust, Some(generation))));
                }
            }
        }
    }

    /// Each replica's leaf is valid by the clock that is right, from the first such leaf on, and trusted by whatever an API
    /// server may act upon. That clock is the first replica's.
    fn check(&mut self) {
        let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(START) + self.now;
        let now = self.configurations.iter().filter_map(|object| object.content.as_ref()).map(|(trust, _)| trust);
        let bundles: Vec<_> = self.lately.iter().map(|(_, trust)| trust).chain(now).collect();
        for (who, replica) in self.replicas.iter_mut().enumerate() {
            let Some(leaf) = &replica.serving else { continue };
            let is_valid = leaf.is_valid(wall);
            assert!(is_valid || who > 0 && !replica.has_served, "replica {who} serves a leaf that is not valid");
            replica.has_served = is_valid;
            for trust in bundles.iter().filter(|trust| !trust.is_empty()) {
                assert!(trust.contains(&leaf.ca), "replica {who} serves a leaf that an API server may not trust");
            }
        }
    }

    /// With nothing in the way, and clocks that are right, all agree within a few rounds, and then rest.
    fn settle(&mut self) {
        for index in 0..2 {
            if self.configurations[index].content.is_none() {
                self.by_hand(index, Some((Trust::default(), None)));
            }
        }
        for who in 0..self.replicas.len() {
            self.replicas[who].ahead = 0;
        }
        for _ in 0..6 {
            self.happen(&Happening::Pass(10 * LAG.as_secs()));
        }
        for _ in 0..12 {
            let done: usize = (0..self.replicas.len())
                .map(|who| {
                    self.hear_all(who);
                    self.act(who, 3)
                })
                .sum();
            if done == 0 {
                break;
            }
        }
        let stored = Material::read(self.secret.content.as_ref().expect("a Secret")).unwrap().expect("material");
        for who in 0..self.replicas.len() {
            self.hear_all(who);
            let replica = &mut self.replicas[who];
            let decision = replica.machine.decide(replica.moment(self.now), &replica.seen());
            assert!(decision.apply.is_empty() && decision.write.is_none(), "replica {who} does not rest: {decision:?}");
            assert_eq!(
                (decision.standing, decision.generation),
                (Standing::Trusted, stored.generation),
                "replica {who}"
            );
        }
        for (trust, _) in self.configurations.iter().filter_map(|object| object.content.as_ref()) {
            assert_eq!(trust, &stored.trust());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn every_replica_is_trusted_at_every_moment(happenings in happenings(false)) {
        let mut world = World::new();
        for happening in &happenings {
            world.happen(happening);
            world.check();
        }
        world.settle();
    }

    #[test]
    fn whatever_people_do_the_replicas_agree_again(happenings in happenings(true)) {
        let mut world = World::new();
        for happening in &happenings {
            world.happen(happening);
        }
        world.settle();
    }
}

#[test]
fn rotations_take_place() {
    let mut world = World::new();
    let mut authorities = Vec::new();
    for _ in 0..4500 {
        world.happen(&Happening::Pass(1));
        for who in 0..3 {
            world.hear_all(who);
            world.act(who, 3);
        }
        world.check();
        authorities.extend(world.replicas[0].serving.as_ref().map(|leaf| leaf.ca.clone()));
        authorities.dedup();
    }
    // Seven minutes of authorities that live two and a half.
    assert!((4..=6).contains(&authorities.len()), "{}", authorities.len());
    let trust = &world.configurations[0].content.as_ref().unwrap().0;
    assert_eq!(trust, &world.configurations[1].content.as_ref().unwrap().0);
}
