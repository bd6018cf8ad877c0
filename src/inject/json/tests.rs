//! What is the same, however it is written.

use super::{same, says_all};

#[test]
fn writing_makes_no_difference_and_more_members_do() {
    let ours = r#"{"a":["x",1,null,true],"b":{"c":"/"}}"#;
    assert!(same(r#" {"b": {"\u0063": "\/"}, "a": ["\u0078", 1, null, true]} "#, ours));
    for other in [
        r#"{"a":["x",1,null,true],"b":{"c":"/"},"d":null}"#,
        r#"{"a":["x",1,null,false],"b":{"c":"/"}}"#,
        r#"{"a":["x",2,null,true],"b":{"c":"/"}}"#,
        r#"{"a":["x",1,null],"b":{"c":"/"}}"#,
        r#"{"a":["x","1",null,true],"b":{"c":"/"}}"#,
        r#"{"a":["x",1,null,true],"B":{"c":"/"}}"#,
        r#"{"a":["x",1,null,true]"#,
    ] {
        assert!(!same(other, ours) && !same(ours, other), "{other}");
    }
}

#[test]
fn defaults_and_the_notation_of_quantities_make_no_difference() {
    let ours = r#"{"sizeLimit":"1024Mi","medium":"Memory"}"#;
    assert!(says_all(r#"{"medium":"Memory","sizeLimit":"1Gi"}"#, ours));
    assert!(!says_all(r#"{"medium":"Memory","sizeLimit":"1G"}"#, ours));
    assert!(!says_all(r#"{"sizeLimit":"1Gi"}"#, ours));
    let requests = |storage: &str| format!(r#"{{"resources":{{"requests":{{"storage":{storage}}}}}}}"#);
    assert!(says_all(&requests(r#""1k""#), &requests("1000")));
    assert!(!says_all(r#"{"secretName":"1k"}"#, r#"{"secretName":"1000"}"#));
}
