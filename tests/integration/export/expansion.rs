//! What the connector's own rows never have, and the format provides for.

use buildkite_connector::export::{Format, Output, Row, RunType, Sink};
use buildkite_connector::proto::c1::connector::v2::{Grant, GrantExpandable, GrantImmutable};
use prost::{Message, Name};
use prost_types::Any;

use super::job::Place;
use super::read_back::C1z;

fn annotation<M: Name>(message: &M) -> Any {
    Any {
        type_url: M::type_url(),
        value: message.encode_to_vec(),
    }
}

#[tokio::test]
async fn an_expandable_grant_is_marked_only_in_its_own_column() {
    let expandable = GrantExpandable {
        entitlement_ids: vec!["team:1:member".to_owned()],
        ..Default::default()
    };
    let grants = [
        Grant {
            id: "1".to_owned(),
            annotations: vec![annotation(&expandable), annotation(&GrantImmutable::default())],
            ..Default::default()
        },
        Grant {
            id: "2".to_owned(),
            ..Default::default()
        },
    ];
    let place = Place::new();
    let path = place.path("access.c1z");
    let mut output = Output::open(&path, Format::C1z, RunType::Full).unwrap();
    for grant in &grants {
        output.write(Row::Grant(grant)).unwrap();
    }
    output.finish().await.unwrap();
    let file = C1z::open(&path);
    let expansions: Vec<Option<Vec<u8>>> = file.column("select expansion from v1_grants order by id");
    assert_eq!(expansions, [Some(expandable.encode_to_vec()), None]);
    assert_eq!(
        file.column::<i64>("select needs_expansion from v1_grants order by id"),
        [1, 0]
    );
    let stored: Vec<Grant> = file.messages("v1_grants", &file.finished()[0]);
    assert_eq!(stored[0].annotations, [annotation(&GrantImmutable::default())]);
    assert_eq!(stored[1], grants[1]);
}

#[tokio::test]
async fn a_row_that_comes_twice_ends_the_run_rather_than_hiding_one_of_them() {
    let grant = Grant {
        id: "1".to_owned(),
        ..Default::default()
    };
    let place = Place::new();
    let mut output = Output::open(&place.path("access.c1z"), Format::C1z, RunType::Full).unwrap();
    for _ in 0..2 {
        output.write(Row::Grant(&grant)).unwrap();
    }
    let error = output.finish().await.unwrap_err().to_string();
    assert!(error.contains("UNIQUE"), "{error}");
    assert!(place.contents().is_empty());
}
