use super::*;
use crate::domain::{Decimal, PointAccount};

const HOUR: Duration = Duration::from_secs(3600);

fn start() -> Tick {
    Tick::from_nanos(7)
}

fn points(ids: &[Option<&str>]) -> Points {
    let account = |id: Option<&str>| PointAccount {
        definition_id: id.map(Into::into),
        name: None,
        balance: Decimal::ONE,
        pending: None,
        expires_on: None,
    };
    Points {
        accounts: ids.iter().copied().map(account).collect(),
    }
}

fn named(names: &PointNames, ids: &[Option<&str>]) -> Vec<Option<String>> {
    let mut points = points(ids);
    names.name(&mut points);
    let accounts = points.accounts.into_iter();
    accounts
        .map(|account| account.name.map(String::from))
        .collect()
}

fn list(definitions: &[(&str, Option<&str>)]) -> Partial<Vec<PointDefinition>> {
    let definition = |(id, name): &(&str, Option<&str>)| PointDefinition {
        id: (*id).into(),
        name: name.map(Into::into),
    };
    definitions
        .iter()
        .map(definition)
        .collect::<Vec<_>>()
        .into()
}

#[test]
fn accounts_get_the_name_of_the_definition_with_the_same_id() {
    let names = PointNames::new(None);
    let ids = [Some("1"), Some("01"), Some("2"), Some("3"), None];
    assert_eq!(named(&names, &ids), [const { None }; 5]);
    let definitions = [
        ("1", Some("Bonus")),
        ("2", None),
        ("3", None),
        ("3", Some("Event")),
        ("1", Some("Later")),
    ];
    names.replace(list(&definitions), start());
    let (bonus, event) = (Some("Bonus".to_owned()), Some("Event".to_owned()));
    assert_eq!(named(&names, &ids), [bonus, None, None, event, None]);
    names.replace(list(&[("2", Some("Eco"))]), start());
    assert_eq!(
        named(&names, &ids),
        [None, None, Some("Eco".to_owned()), None, None]
    );
}

#[test]
fn age_is_that_of_the_last_list() {
    let names = PointNames::new(None);
    assert_eq!(names.age(start()), None);
    names.replace(list(&[]), start());
    assert_eq!(names.age(start() + HOUR), Some(HOUR));
    names.replace(list(&[]), start() + HOUR);
    assert_eq!(names.age(start() + HOUR), Some(Duration::ZERO));
}
