//! Parameters that two readers would see differently: repeated, nested, joined by other signs, empty.

use engage_simulator::people::{ALVA, BO};

use super::{Expected::Problem, MARK, Row, get, held};

pub(super) fn rows() -> Vec<Row> {
    let mut rows = names();
    rows.extend(repeated());
    rows.extend(joined());
    rows.extend(empty());
    rows
}

fn refused(queries: impl IntoIterator<Item = String>, code: &'static str) -> Vec<Row> {
    let row = |query: String| Row::new(get(&query), Problem(400, code));
    queries.into_iter().map(row).collect()
}

/// Names of which some frameworks make one that is known.
fn names() -> Vec<Row> {
    let spelled = [
        "contactId[]",
        "contactId[0]",
        "contactId[][]",
        "contactId%5B%5D",
        "contactId[id]",
        "contactId.id",
        "contactId.0",
        "contactId:in",
        "contactId[$ne]",
        "contactId[$gt]",
        "contactId[__proto__]",
        "__proto__[contactId]",
        "constructor.prototype",
        "contactId%00",
        "contactId%0A",
        "%00contactId",
        "contactId%20",
        "%20contactId",
        "contactId%09",
        "contactId%C2%A0",
        "%EF%BB%BFcontactId",
        "contact_id",
        "contact-id",
        "contactid",
        "ContactId",
        "CONTACTID",
        "contactId%3B",
        "contactI%CC%87d",
        "contact%C4%B1d",
        "%D1%81ontactId",
        "contactId%E2%80%8B",
        "amp;contactId",
        "*",
        ".",
        "$",
        "%25",
        "id",
        "q",
        "_method",
        "callback",
        "format",
        "x-api-key",
        "apikey",
        "access_token",
    ];
    let queries = spelled.map(|name| format!("{name}={}{MARK}", ALVA.id));
    let mut rows = refused(queries, "InvalidParameter");
    // The same beside what is right.
    let queries = spelled.map(|name| format!("{}&{name}={MARK}", held()));
    rows.extend(refused(queries, "InvalidParameter"));
    rows
}

fn repeated() -> Vec<Row> {
    let (alva, bo) = (ALVA.id, BO.id);
    let held = held();
    let mut rows = refused(
        [
            format!("{held}&{held}"),
            format!("{held}&contactId={bo}"),
            format!("contactId={bo}&{held}"),
            format!("{held}&contactId="),
            format!("contactId=&{held}"),
            format!("{held}&%63ontactId={bo}"),
            format!("%63%6f%6e%74actId={bo}&{held}"),
            format!("{held}&contactId"),
            format!("{held}&view=storefront&view=full"),
            format!("{held}&view=full&vie%77=storefront"),
            format!("{held}&parts=points&parts=vouchers"),
            format!("{held}&fresh=points&fresh=all"),
            format!("{held}&contactType=Member&contactType=Contact"),
            format!("{held}&channel=ECOM&channel=POS"),
            format!("{held}&expiringWithin=1d&expiringWithin=2d"),
            format!("{held}{}", format!("&contactId={alva}").repeat(100)),
            format!("{held}{}", "&a=1&b=2".repeat(500)),
            format!("parts=points,points&{held}"),
            format!("fresh=points,points&{held}"),
            format!("fresh=all,all&{held}"),
        ],
        "InvalidParameter",
    );
    rows.extend(refused(
        [
            format!("{held}&email={MARK}%40example.com"),
            format!("email={MARK}%40example.com&{held}"),
            format!("any={MARK}&customKey={MARK}"),
            format!("mobilePhone=0701740605&{held}"),
        ],
        "AmbiguousIdentifier",
    ));
    rows
}

/// Other signs between parameters are part of the value.
fn joined() -> Vec<Row> {
    let (held, bo) = (held(), BO.id);
    let mut rows = refused(
        [
            format!("{held};contactId={bo}"),
            format!("{held},{bo}"),
            format!("{held}%26contactId={bo}"),
            format!("{held}%00&view=full"),
            format!("{held}?view=full"),
            format!("{held}?contactId={bo}"),
            format!("={held}").replacen("=contactId=", "contactId==", 1),
            format!("{held}="),
            format!("{held}%3D"),
            format!("{held}|{bo}"),
            format!("{held}/../{bo}"),
            format!("{held}'"),
            format!("{held}%27%20OR%201%3D1--"),
            format!("{held}%22%7D"),
            format!("{held}%20"),
            format!("{held}%0A"),
            format!("contactId=[%22{bo}%22]"),
            "contactId=%7B%22$ne%22:1%7D".to_owned(),
            "contactId=null".to_owned(),
            "contactId=undefined".to_owned(),
            "contactId=*".to_owned(),
            "contactId=%25".to_owned(),
            "contactId=true".to_owned(),
            "contactId=-1".to_owned(),
        ],
        "InvalidContactId",
    );
    rows.extend(refused(
        [
            format!("{held}&"),
            format!("&{held}"),
            format!("{held}&&view=full"),
            format!("{held}&="),
            format!("{held}&=1"),
            format!("{held}&view=full;parts=none"),
            format!("{held}&parts=points%00"),
            format!("{held}&parts=points,,vouchers"),
            format!("{held}&parts=,"),
            format!("{held}&parts[]=points"),
            format!("{held}&parts=[%22points%22]"),
            format!("{held}&fresh=true"),
            format!("{held}&fresh=1"),
            format!("{held}&expiringWithin=1e2d"),
            format!("{held}&expiringWithin=00000000000000000000001d"),
            format!("{held}&expiringWithin=99999999999999999999d"),
            format!("{held}&expiringWithin=0x10d"),
            format!("?{held}"),
            "&".to_owned(),
            "=".to_owned(),
            "?".to_owned(),
            "&&&&".to_owned(),
        ],
        "InvalidParameter",
    ));
    rows
}

fn empty() -> Vec<Row> {
    let names = [
        "contactId",
        "email",
        "mobilePhone",
        "customKey",
        "any",
        "contactType",
        "view",
        "parts",
        "fresh",
        "channel",
        "expiringWithin",
    ];
    let mut rows = refused(names.map(|name| format!("{name}=")), "InvalidParameter");
    rows.extend(refused(names.map(str::to_owned), "InvalidParameter"));
    rows.extend(refused(
        ["email=%20", "email=%0D%0A", "email=%40", "email=%20%40%20"].map(str::to_owned),
        "InvalidEmailAddress",
    ));
    rows.extend(refused(
        [
            "customKey=%20",
            "customKey=%C2%A0",
            "any=%20",
            "any=%E3%80%80",
        ]
        .map(str::to_owned),
        "InvalidSearchQuery",
    ));
    rows.extend(refused(
        ["", "view=full", "contactType=Member"].map(str::to_owned),
        "MissingIdentifier",
    ));
    rows
}
