//! Parameter pollution: parameters that two parsers may read differently, because they are repeated, nested, joined by
//! other separators, or empty.

use engage_simulator::fixtures::{ALVA, BO};

use super::{Expected::Problem, MARK, Row, cached, get};

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

/// Names that some frameworks resolve to a known name.
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
    // The same next to a valid parameter.
    let queries = spelled.map(|name| format!("{}&{name}={MARK}", cached()));
    rows.extend(refused(queries, "InvalidParameter"));
    rows
}

fn repeated() -> Vec<Row> {
    let (alva, bo) = (ALVA.id, BO.id);
    let cached = cached();
    let mut rows = refused(
        [
            format!("{cached}&{cached}"),
            format!("{cached}&contactId={bo}"),
            format!("contactId={bo}&{cached}"),
            format!("{cached}&contactId="),
            format!("contactId=&{cached}"),
            format!("{cached}&%63ontactId={bo}"),
            format!("%63%6f%6e%74actId={bo}&{cached}"),
            format!("{cached}&contactId"),
            format!("{cached}&view=storefront&view=full"),
            format!("{cached}&view=full&vie%77=storefront"),
            format!("{cached}&parts=points&parts=vouchers"),
            format!("{cached}&fresh=points&fresh=all"),
            format!("{cached}&contactType=Member&contactType=Contact"),
            format!("{cached}&channel=ECOM&channel=POS"),
            format!("{cached}&expiringWithin=1d&expiringWithin=2d"),
            format!("{cached}{}", format!("&contactId={alva}").repeat(100)),
            format!("{cached}{}", "&a=1&b=2".repeat(500)),
            format!("parts=points,points&{cached}"),
            format!("fresh=points,points&{cached}"),
            format!("fresh=all,all&{cached}"),
        ],
        "InvalidParameter",
    );
    rows.extend(refused(
        [
            format!("{cached}&email={MARK}%40example.com"),
            format!("email={MARK}%40example.com&{cached}"),
            format!("any={MARK}&customKey={MARK}"),
            format!("mobilePhone=0701740605&{cached}"),
        ],
        "AmbiguousIdentifier",
    ));
    rows
}

/// Other separators are part of the value.
fn joined() -> Vec<Row> {
    let (cached, bo) = (cached(), BO.id);
    let mut rows = refused(
        [
            format!("{cached};contactId={bo}"),
            format!("{cached},{bo}"),
            format!("{cached}%26contactId={bo}"),
            format!("{cached}%00&view=full"),
            format!("{cached}?view=full"),
            format!("{cached}?contactId={bo}"),
            format!("={cached}").replacen("=contactId=", "contactId==", 1),
            format!("{cached}="),
            format!("{cached}%3D"),
            format!("{cached}|{bo}"),
            format!("{cached}/../{bo}"),
            format!("{cached}'"),
            format!("{cached}%27%20OR%201%3D1--"),
            format!("{cached}%22%7D"),
            format!("{cached}%20"),
            format!("{cached}%0A"),
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
            format!("{cached}&"),
            format!("&{cached}"),
            format!("{cached}&&view=full"),
            format!("{cached}&="),
            format!("{cached}&=1"),
            format!("{cached}&view=full;parts=none"),
            format!("{cached}&parts=points%00"),
            format!("{cached}&parts=points,,vouchers"),
            format!("{cached}&parts=,"),
            format!("{cached}&parts[]=points"),
            format!("{cached}&parts=[%22points%22]"),
            format!("{cached}&fresh=true"),
            format!("{cached}&fresh=1"),
            format!("{cached}&expiringWithin=1e2d"),
            format!("{cached}&expiringWithin=00000000000000000000001d"),
            format!("{cached}&expiringWithin=99999999999999999999d"),
            format!("{cached}&expiringWithin=0x10d"),
            format!("?{cached}"),
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
