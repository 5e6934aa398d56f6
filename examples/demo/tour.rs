//! What the demo prints: where everything is, and commands to try in a shell.

use engage_simulator::fixtures;

use crate::{CONTACTS, OVERVIEW_LAG, Started};

/// The addresses, and commands to try in a shell.
pub(crate) fn tour(started: &Started) -> String {
    let Started {
        shop,
        bff,
        operations,
        engage,
    } = started;
    let steps = steps(bff, engage);
    let steps: Vec<_> = steps
        .iter()
        .map(|(what, line)| format!("# {what}\n{line}\n"))
        .collect();
    let lag = OVERVIEW_LAG.as_secs();
    format!(
        "shop              {shop}   (open it in a browser)\n\
         engage-bff        {bff}\n\
         operations        {operations}   (/metrics, /readyz)\n\
         Engage simulator  {engage}   ({CONTACTS} invented contacts; its overview lags {lag} s)\n\
         \n{}\n\
         Ctrl-C stops all.",
        steps.join("\n")
    )
}

/// The commands to try in a shell, each with what it shows.
fn steps(bff: &str, engage: &str) -> Vec<(&'static str, String)> {
    let alva = fixtures::ALVA;
    let shop = "curl -si -H 'X-Api-Key: demo-shop-key'";
    let till = "curl -si -H 'X-Api-Key: demo-till-key'";
    let escaped = alva.phone.replace('+', "%2B");
    let post = |path: &str, body: &str| {
        format!("{till} -H 'Content-Type: application/json' {bff}/customer/{path} -d '{body}'")
    };
    let body = |kind: &str, value: &str| post("lookup", &format!("{{\"{kind}\":\"{value}\"}}"));
    vec![
        (
            "By contact id: a miss, then (run it twice) a hit",
            format!("{shop} '{bff}/customer?contactId={}'", alva.id),
        ),
        (
            "By e-mail",
            format!("{shop} '{bff}/customer?email={}'", alva.email),
        ),
        (
            "By phone; + is written %2B in a URL",
            format!("{shop} '{bff}/customer?mobilePhone={escaped}'"),
        ),
        (
            "By member number",
            format!("{shop} '{bff}/customer?customKey={}'", alva.member_number),
        ),
        (
            "By national id: in the body only, and only for the till",
            body("socialSecurityNumber", alva.national_id),
        ),
        (
            "By any identifier: the service finds out which",
            body("any", alva.email),
        ),
        (
            "Points, fresh from Engage",
            format!("{shop} '{bff}/customer?email={}&fresh=points'", alva.email),
        ),
        (
            "For a content panel on every page view: profile and audiences only",
            format!("{shop} '{bff}/customer?email={}&parts=none'", alva.email),
        ),
        (
            "What expires within sixty days",
            format!(
                "{shop} '{bff}/customer?email={}&expiringWithin=60d'",
                alva.email
            ),
        ),
        (
            "An unknown contact: 404",
            format!("{shop} '{bff}/customer?email=unknown@example.com'"),
        ),
        (
            "An address of two contacts: 409; the till is sent which ones",
            format!("{till} '{bff}/customer?email={}'", fixtures::DORA.email),
        ),
        (
            "Why points are pending: a contact's history",
            format!(
                "{till} '{bff}/customer?contactId={}&parts=pointTransactions&limit=3'",
                alva.id
            ),
        ),
        (
            "Several customers at once, each in a line as it becomes known",
            post(
                "batch",
                &format!(
                    "{{\"lookups\":[{{\"email\":\"{}\"}},{{\"email\":\"unknown@example.com\"}}]}}",
                    alva.email
                ),
            ),
        ),
        (
            "The till has just redeemed a voucher: what is cached of vouchers is not served any more",
            post(
                "changed",
                &format!("{{\"contactId\":\"{}\",\"parts\":[\"vouchers\"]}}", alva.id),
            ),
        ),
        (
            "No key: 401",
            format!("curl -si '{bff}/customer?email={}'", alva.email),
        ),
        (
            "Change the points in Engage: once its webhook has arrived, look-ups show them, also without fresh=points",
            format!(
                "curl -s {engage}/control/contacts/{} -d '[{{\"points\":\"742.25\"}}]'",
                alva.id
            ),
        ),
    ]
}
