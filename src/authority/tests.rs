mod simulation;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const START: u64 = 1_800_000_000;

fn options() -> Options {
    Options {
        names: vec!["podgraft.podgraft.svc".to_owned()],
        ca_lifetime: 96 * SECOND,
        leaf_lifetime: 24 * SECOND,
        settle: 4 * SECOND,
    }
}

fn at(seconds: u64) -> Moment {
    Moment { wall: SystemTime::UNIX_EPOCH + Duration::from_secs(START + seconds), steady: Duration::from_secs(seconds) }
}

fn begin() -> Material {
    Change { step: Step::Begin, generation: 1, base: None, keep: None }.make(&options(), at(0).wall).unwrap()
}

fn present(trust: &Trust, generation: Option<u64>) -> Registration {
    Registration::Present { generation, entries: vec![(trust.clone(), true); 2] }
}

fn seen(secret: Option<&Material>, registrations: &[Registration]) -> Seen {
    let secret = secret.map_or(Sight::Absent, |material| Sight::Whole(Arc::new(material.clone())));
    Seen { secret, registrations: registrations.to_vec() }
}

fn untouched() -> Registration {
    present(&Trust::default(), None)
}

/// What a decision makes of the Secret.
fn written(decision: Decision, second: u64) -> Material {
    decision.write.expect("a change").make(&options(), at(second).wall).unwrap()
}

#[test]
fn what_is_stored_reads_back_the_same() {
    let mut material = begin();
    let read = |material: &Material| Material::read(&material.store()).unwrap().unwrap();
    assert_eq!(read(&material), material);
    material.next = Some(Authority::make(options().ca_lifetime, at(1).wall).unwrap());
    material.old = Some(Old { cas: begin().trust(), until: at(9).wall });
    assert_eq!(read(&material), material);
    let (trust, clean) = Trust::read(material.trust().pem().as_bytes());
    assert_eq!((trust, clean), (material.trust(), true));
}

#[test]
fn an_empty_secret_is_none_and_a_damaged_one_says_what_is_wrong() {
    assert_eq!(Material::read(&Stored::default()), Ok(None));
    let (good, other) = (begin().store(), begin().store());
    let with = |name: &str, bytes: Option<Vec<u8>>| {
        let mut stored = good.clone();
        match bytes {
            Some(bytes) => stored.data.insert(name.to_owned(), bytes),
            None => stored.data.remove(name),
        };
        Material::read(&stored).unwrap_err()
    };
    for name in ["ca.crt", "ca.key", "tls.crt", "tls.key"] {
        assert_eq!(with(name, None), Damage { generation: 1, problem: format!("{name} is missing") });
        for bad in [b"-----BEGIN".to_vec(), b"\xff".to_vec(), other.data[name].clone()] {
            let damage = with(name, Some(bad));
            assert!(damage.generation == 1 && damage.problem.contains(&name[..3]), "{name}: {damage}");
        }
    }
}

#[test]
fn keys_stay_out_of_logs() {
    let material = begin();
    let texts =
        [format!("{material:?}"), format!("{:?}", material.store()), format!("{:?}", seen(Some(&material), &[]))];
    for text in texts {
        assert!(!text.contains("PRIVATE") && !text.contains("-----BEGIN"), "{text}");
    }
}

#[test]
fn the_first_certificate_is_served_as_soon_as_it_is_trusted() {
    let mut machine = Machine::new(options(), 0.0);
    let none = Seen { secret: Sight::Absent, registrations: vec![Registration::Unread, untouched()] };
    assert!(machine.decide(at(0), &none).write.is_none(), "who is trusted now is not known");

    let decision = machine.decide(at(1), &seen(None, &[untouched(), untouched()]));
    assert_eq!(decision.standing, Standing::NoCertificate);
    let material = written(decision, 1);
    let decision = machine.decide(at(1), &seen(Some(&material), &[untouched(), untouched()]));
    assert_eq!((decision.apply, decision.serve.is_none(), decision.write.is_none()), (vec![0, 1], true, true));
    assert_eq!((&decision.trust, decision.generation), (&material.trust(), 1));

    let told = present(&material.trust(), Some(1));
    let half = machine.decide(at(1), &seen(Some(&material), &[told.clone(), untouched()]));
    assert_eq!((half.apply, half.serve.is_none(), half.standing), (vec![1], true, Standing::NoCertificate));
    let whole = machine.decide(at(1), &seen(Some(&material), &[told.clone(), told]));
    assert_eq!((whole.apply, whole.serve, whole.standing), (vec![], Some(material.leaf), Standing::Trusted));
}

#[test]
fn a_missing_configuration_is_not_made_and_hinders_nothing() {
    let mut machine = Machine::new(options(), 0.0);
    let material = begin();
    let registrations = [present(&material.trust(), Some(1)), Registration::Missing];
    let decision = machine.decide(at(0), &seen(Some(&material), &registrations));
    assert_eq!((decision.apply, decision.standing), (vec![], Standing::Trusted));
}

#[test]
fn a_cleared_bundle_is_healed_at_once_and_a_foreign_one_replaced() {
    let mut machine = Machine::new(options(), 0.0);
    let material = begin();
    let told = present(&material.trust(), Some(1));
    machine.decide(at(0), &seen(Some(&material), std::slice::from_ref(&told)));
    let foreign = present(&begin().trust(), Some(1));
    let unclean = Registration::Present { generation: Some(1), entries: vec![(material.trust(), false)] };
    for broken in [untouched(), foreign, unclean] {
        let decision = machine.decide(at(0), &seen(Some(&material), &[told.clone(), broken]));
        assert_eq!(decision.apply, [1]);
    }
    let decision = machine.decide(at(0), &seen(Some(&material), &[untouched()]));
    assert_eq!(decision.standing, Standing::Untrusted);
}

#[test]
fn a_leaf_is_renewed_at_two_thirds_and_served_at_once() {
    for (jitter, due) in [(0.0, 16), (1.0, 17)] {
        let mut machine = Machine::new(options(), jitter);
        let material = begin();
        let told = [present(&material.trust(), Some(1))];
        assert!(machine.decide(at(due - 1), &seen(Some(&material), &told)).write.is_none(), "jitter {jitter}");
        let decision = machine.decide(at(due), &seen(Some(&material), &told));
        assert_eq!(decision.write.as_ref().map(|change| change.step), Some(Step::Renew));
        let renewed = written(decision, due);
        assert_eq!((renewed.generation, &renewed.ca), (2, &material.ca));
        let decision = machine.decide(at(due), &seen(Some(&renewed), &told));
        assert_eq!((decision.serve, decision.apply), (Some(renewed.leaf), vec![]));
    }
}

#[test]
fn a_leaf_for_other_names_is_made_anew_and_keeps_them() {
    let mut machine = Machine::new(Options { names: vec!["new.podgraft.svc".to_owned()], ..options() }, 0.0);
    let material = begin();
    let change = machine.decide(at(1), &seen(Some(&material), &[])).write.expect("a change");
    let renewed = change.make(machine.options(), at(1).wall).unwrap();
    assert_eq!(renewed.leaf.bundle.names, ["new.podgraft.svc", "podgraft.podgraft.svc"]);
    assert!(Machine::new(options(), 0.0).decide(at(1), &seen(Some(&renewed), &[])).write.is_none());
}

#[test]
fn an_authority_is_rotated_in_steps() {
    let mut machine = Machine::new(options(), 0.0);
    let mut first = begin();
    let told = |material: &Material| [present(&material.trust(), Some(material.generation))];
    first.leaf = first.ca.sign(options().names, options().leaf_lifetime, None, at(60).wall).unwrap();
    machine.decide(at(60), &seen(Some(&first), &told(&first)));

    let both = written(machine.decide(at(64), &seen(Some(&first), &told(&first))), 64);
    assert!(both.next.is_some() && both.leaf == first.leaf);
    let decision = machine.decide(at(64), &seen(Some(&both), &told(&first)));
    assert_eq!((decision.apply, decision.write.is_none()), (vec![0], true));
    assert!(machine.decide(at(65), &seen(Some(&both), &told(&both))).write.is_none());
    // Somebody clears the bundle: the wait begins anew.
    machine.decide(at(66), &seen(Some(&both), &[untouched()]));
    machine.decide(at(67), &seen(Some(&both), &told(&both)));
    assert!(machine.decide(at(70), &seen(Some(&both), &told(&both))).write.is_none(), "not settled yet");

    let promoted = written(machine.decide(at(71), &seen(Some(&both), &told(&both))), 71);
    assert_eq!(promoted.ca, both.next.unwrap());
    assert_eq!(promoted.old, Some(Old { cas: Trust::of(&first.ca.cert), until: first.leaf.bundle.not_after }));
    let decision = machine.decide(at(71), &seen(Some(&promoted), &told(&promoted)));
    assert_eq!(decision.serve, Some(Arc::clone(&promoted.leaf)));

    // The last leaf of the old one expires at 84, and then the clocks may differ.
    assert!(machine.decide(at(86), &seen(Some(&promoted), &told(&promoted))).write.is_none());
    let change = machine.decide(at(88), &seen(Some(&promoted), &told(&promoted))).write.expect("a change");
    let retired = change.make(&options(), at(88).wall).unwrap();
    assert!(retired.old.is_none() || change.step != Step::Retire, "{:?}", change.step);
}

#[test]
fn another_replica_serves_a_promoted_leaf_when_it_has_settled_there_too() {
    let mut machine = Machine::new(options(), 0.0);
    let first = begin();
    let told = |material: &Material| [present(&material.trust(), Some(material.generation))];
    machine.decide(at(0), &seen(Some(&first), &told(&first)));
    let prepare = Change { step: Step::Prepare, generation: 2, base: Some(Arc::new(first.clone())), keep: None };
    let both = prepare.make(&options(), at(1).wall).unwrap();
    let promote = Change { step: Step::Promote, generation: 3, base: Some(Arc::new(both.clone())), keep: None };
    let promoted = promote.make(&options(), at(5).wall).unwrap();
    // It hears of both at once, and late.
    assert!(machine.decide(at(6), &seen(Some(&promoted), &told(&first))).serve.is_none(), "not trusted");
    assert!(machine.decide(at(7), &seen(Some(&promoted), &told(&both))).serve.is_none(), "not settled");
    assert_eq!(machine.decide(at(7), &seen(Some(&promoted), &told(&both))).standing, Standing::Trusted);
    assert_eq!(machine.decide(at(11), &seen(Some(&promoted), &told(&both))).serve, Some(Arc::clone(&promoted.leaf)));
    // One that starts now has nothing else to serve.
    let mut new = Machine::new(options(), 0.0);
    assert_eq!(new.decide(at(6), &seen(Some(&promoted), &told(&both))).serve, Some(promoted.leaf));
}

#[test]
fn a_secret_that_is_gone_or_damaged_or_older_is_restored_from_memory() {
    let mut machine = Machine::new(options(), 0.0);
    let older = begin();
    let material = Material { generation: 7, ..begin() };
    let told = [present(&material.trust(), Some(7))];
    machine.decide(at(0), &seen(Some(&material), &told));
    let damaged = Sight::Damaged(Damage { generation: 9, problem: String::new() });
    for (secret, generation) in [(Sight::Absent, 8), (damaged, 10), (Sight::Whole(Arc::new(older)), 8)] {
        let decision = machine.decide(at(1), &Seen { secret, registrations: told.to_vec() });
        assert_eq!((decision.standing, &decision.apply), (Standing::Trusted, &vec![]));
        let restored = written(decision, 1);
        assert_eq!(restored, Material { generation, ..material.clone() });
    }
}

#[test]
fn a_secret_is_not_restored_where_nothing_is_registered_any_more() {
    let mut machine = Machine::new(options(), 0.0);
    let material = begin();
    let gone = [Registration::Missing, Registration::Missing];
    machine.decide(at(0), &seen(Some(&material), &gone));
    assert!(machine.decide(at(1), &seen(None, &gone)).write.is_none());
    assert!(
        machine.decide(at(2), &seen(None, &[untouched(), Registration::Missing])).write.is_some(),
        "there it is again"
    );
    assert!(Machine::new(options(), 0.0).decide(at(0), &seen(None, &gone)).write.is_some(), "an installation begins");
}

#[test]
fn where_nobody_remembers_all_is_made_anew_and_what_was_trusted_stays_so() {
    let mut machine = Machine::new(options(), 0.0);
    let lost = Material { generation: 7, ..begin() };
    let told = [present(&lost.trust(), Some(7))];
    assert!(machine.decide(at(0), &seen(None, &told)).write.is_none(), "somebody may remember");
    let anew = written(machine.decide(at(4), &seen(None, &told)), 4);
    assert_eq!((anew.generation, &anew.old.as_ref().unwrap().cas), (8, &lost.trust()));
    assert_ne!(anew.ca, lost.ca);
}

#[test]
fn a_secret_from_a_backup_rises_above_what_is_in_force() {
    let mut machine = Machine::new(options(), 0.0);
    let (backup, lost) = (begin(), Material { generation: 7, ..begin() });
    let decision = machine.decide(at(1), &seen(Some(&backup), &[present(&lost.trust(), Some(7))]));
    assert_eq!((&decision.apply, decision.serve.is_none()), (&vec![], true), "a lower generation does not win");
    let risen = written(decision, 1);
    assert_eq!((risen.generation, &risen.ca, &risen.old.unwrap().cas), (8, &backup.ca, &lost.trust()));
}

/// As a hand may write it, or a program that means something else by it.
#[test]
fn whatever_generation_a_configuration_claims_it_is_told_and_all_come_to_rest() {
    let said = |generation: u64| {
        let annotations = [(GENERATION.to_owned(), generation.to_string())].into();
        super::generation(&annotations)
    };
    let claims = [7, u64::from(u32::MAX) - 1, u32::MAX.into(), 1 << 32, 1 << 40, i64::MAX as u64, 1 << 63, u64::MAX];
    for claim in claims {
        let mut machine = Machine::new(options(), 0.0);
        let mut secret = begin();
        // Again and again, each time a little more than what is there.
        for round in 0..3 {
            let claim = claim.saturating_add(secret.generation - 1);
            let mut writes = 0;
            let mut told = [present(&secret.trust(), said(claim)), present(&secret.trust(), said(secret.generation))];
            while let Some(change) = machine.decide(at(0), &seen(Some(&secret), &told)).write {
                let written = change.make(&options(), at(0).wall).unwrap();
                secret = Material::read(&written.store()).unwrap().unwrap();
                assert_eq!(secret.generation, written.generation, "{claim}: it reads back as it was written");
                writes += 1;
                assert!(writes < 2, "{claim}: it has no end");
            }
            // Somebody clears the bundles.
            told[0] = present(&Trust::default(), said(claim));
            let decision = machine.decide(at(0), &seen(Some(&secret), &told));
            assert_eq!((decision.apply, decision.generation), (vec![0], secret.generation), "{claim}, round {round}");
        }
    }
}

#[test]
fn the_authority_of_a_leaf_that_is_served_is_not_forgotten() {
    let mut machine = Machine::new(options(), 0.0);
    let mine = begin();
    machine.decide(at(0), &seen(Some(&mine), &[present(&mine.trust(), Some(1))]));
    let other = Material { generation: 5, ..begin() };
    let kept = written(machine.decide(at(1), &seen(Some(&other), &[present(&mine.trust(), Some(1))])), 1);
    assert_eq!((kept.generation, kept.trust().contains(&mine.ca.cert)), (6, true));
}

#[test]
fn after_a_long_sleep_there_is_another_authority_as_soon_as_it_is_trusted() {
    let mut machine = Machine::new(options(), 0.0);
    let material = begin();
    let told = [present(&material.trust(), Some(1))];
    let decision = machine.decide(at(500), &seen(Some(&material), &told));
    assert!(decision.serve.is_none());
    let both = written(decision, 500);
    assert_eq!(machine.decide(at(500), &seen(Some(&both), &told)).apply, [0]);
    let told = [present(&both.trust(), Some(2))];
    assert!(
        machine.decide(at(501), &seen(Some(&both), &told)).write.is_none(),
        "others may serve leaves of the old one"
    );
    let anew = written(machine.decide(at(505), &seen(Some(&both), &told)), 505);
    assert_eq!((anew.generation, anew.ca != material.ca), (3, true));
    let decision = machine.decide(at(505), &seen(Some(&anew), &told));
    assert_eq!((decision.serve, decision.standing), (Some(anew.leaf), Standing::Trusted));
}

/// Material as a clock makes it that is so many seconds ahead of ours, with what stands in the configurations.
fn from_ahead(ahead: u64) -> (Material, [Registration; 1]) {
    let change = Change { step: Step::Begin, generation: 1, base: None, keep: None };
    let material = change.make(&options(), at(ahead).wall).unwrap();
    let told = [present(&material.trust(), Some(1))];
    (material, told)
}

const HOUR: u64 = 3600;

#[test]
fn a_leaf_is_valid_for_as_long_as_its_authority_has_been() {
    let material = begin();
    let (mut early, mut late) = (Machine::new(options(), 0.0), Machine::new(options(), 0.0));
    let told = [present(&material.trust(), Some(1))];
    early.decide(at(0), &seen(Some(&material), &told));
    // Somebody's clock is ahead, and signs the next one.
    let renewed = written(late.decide(at(80), &seen(Some(&material), &told)), 80);
    let decision = early.decide(at(1), &seen(Some(&renewed), &told));
    assert_eq!((decision.serve, decision.standing), (Some(renewed.leaf), Standing::Trusted));
    assert!(decision.write.is_none(), "one is enough for both");
}

#[test]
fn what_a_clock_made_that_is_ahead_is_not_served_and_not_trusted() {
    let (future, told) = from_ahead(2 * HOUR);
    let mut machine = Machine::new(options(), 0.0);
    let decision = machine.decide(at(0), &seen(Some(&future), &told));
    assert_eq!((decision.serve, decision.standing), (None, Standing::NoCertificate));
    // Our clock goes back, or we started with one that was ahead.
    let mut machine = Machine::new(options(), 0.0);
    let jumping = |wall: u64, steady: u64| Moment { wall: at(wall).wall, ..at(steady) };
    machine.decide(jumping(2 * HOUR, 0), &seen(Some(&future), &told));
    let decision = machine.decide(jumping(1, 1), &seen(Some(&future), &told));
    assert_eq!(decision.standing, Standing::NotYetValid);
}

#[test]
fn clocks_that_differ_come_to_an_authority_for_all_of_them() {
    let (mut material, mut told) = from_ahead(2 * HOUR);
    // A clock that is right, one that is ahead, one that is further ahead, and one that is behind.
    let clocks = [HOUR, 2 * HOUR, 4 * HOUR, 0];
    let mut machines = clocks.map(|clock| (clock, Machine::new(options(), 0.0)));
    let mut written = 0;
    for second in 0..40 {
        for (clock, machine) in &mut machines {
            let now = Moment { wall: at(*clock + second).wall, ..at(second) };
            let decision = machine.decide(now, &seen(Some(&material), &told));
            if let Some(change) = decision.write {
                material = change.make(&options(), now.wall).unwrap();
                written += 1;
            } else if !decision.apply.is_empty() {
                told = [present(&decision.trust, Some(decision.generation))];
            }
        }
    }
    assert!(written < 20, "they answer one another without end: {written}");
    for (clock, machine) in &mut machines {
        let now = Moment { wall: at(*clock + 40).wall, ..at(40) };
        let decision = machine.decide(now, &seen(Some(&material), &told));
        assert_eq!(decision.standing, Standing::Trusted, "{clock}");
    }
}

#[test]
fn lifetimes_leave_room_for_a_rotation() {
    assert_eq!(options().check(), Ok(()));
    let short = Options { leaf_lifetime: 11 * SECOND, ..options() };
    assert!(short.check().unwrap_err().contains("at least three times the settling time of 4s"));
    let short = Options { ca_lifetime: 71 * SECOND, ..options() };
    assert!(short.check().unwrap_err().contains("at least three times their lifetime of 24s"));
}
