//! Bearer tokens: nobody is let in but with a token that our key signed, for us, for now.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use consentry::model::Timestamp;
use http::header::{AUTHORIZATION, HeaderValue};
use jsonwebtoken::{Algorithm, EncodingKey};
use serde::Deserialize;
use serde_json::Value;

use super::front::{AUDIENCE, Front, ISSUER, KEY, NOW, first_line, key, with_front};

/// The longest clock skew of the default settings, in seconds.
const SKEW_S: f64 = 30.0;

/// The first line says how: `raw`, the rest is the token; or who signs the header on the second line and the claims in
/// the rest: `ours`, our key; `other`, a key that nobody knows; `hmac`, whoever read our public key; `none`, nobody;
/// `twice`, our key, with a part too many.
pub fn run(bytes: &[u8]) {
    let Some((how, rest)) = first_line(bytes) else { return };
    with_front(|front| {
        if how == "raw" {
            let honest = std::str::from_utf8(rest)
                .is_ok_and(|text| PEOPLE.iter().any(|who| front.token(who) == Some(text.trim())));
            let status = present(front, &[b"Bearer ", rest].concat());
            assert!(honest || status.is_none_or(|status| status == 401), "let in with {rest:?}");
            return;
        }
        let Some((header, claims)) = first_line(rest) else { return };
        let header = header.replace("{kid}", &kid(front));
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(&header), URL_SAFE_NO_PAD.encode(claims));
        let signed = |der: &[u8]| {
            jsonwebtoken::crypto::sign(message.as_bytes(), &EncodingKey::from_ed_der(der), Algorithm::EdDSA).unwrap()
        };
        let signature = match how {
            "ours" | "twice" => signed(&KEY),
            "other" => signed(&{
                let mut other = KEY;
                other[47] ^= 1;
                other
            }),
            "hmac" => {
                let public = jwk(front)["x"].as_str().unwrap().to_owned();
                let secret = hmac::Key::new(hmac::HMAC_SHA256, &URL_SAFE_NO_PAD.decode(public).unwrap());
                URL_SAFE_NO_PAD.encode(hmac::sign(&secret, message.as_bytes()))
            }
            "none" => String::new(),
            _ => return,
        };
        let token = if how == "twice" { format!("{message}.{signature}.") } else { format!("{message}.{signature}") };
        let Some(status) = present(front, format!("Bearer {token}").as_bytes()) else { return };
        if status != 401 {
            assert_eq!(how, "ours", "let in with {header} {}", String::from_utf8_lossy(claims));
            is_for_us_and_now(&header, &kid(front), claims);
        }
    });
}

const PEOPLE: [&str; 7] = ["tooling", "ticketing", "ada", "bob", "cyd", "dee", "eve"];

/// What is made of a token; none: it cannot stand in a header.
fn present(front: &Front, authorization: &[u8]) -> Option<u16> {
    let value = HeaderValue::from_bytes(authorization).ok()?;
    let mut request = front.request("nobody", "GET", "/v1/support-requests", Vec::new())?;
    request.headers_mut().insert(AUTHORIZATION, value);
    Some(front.call(request).status)
}

fn jwk(front: &Front) -> Value {
    let set: Value = serde_json::from_str(&key(front.folder.path()).jwks()).unwrap();
    set["keys"][0].clone()
}

fn kid(front: &Front) -> String {
    jwk(front)["kid"].as_str().unwrap().to_owned()
}

/// The claims that count. Of the others RFC 7519 section 4 asks that they be ignored, whatever they hold: an escape of
/// half a character in one of them is no reason to refuse, nor one to fail here.
#[derive(Debug, Deserialize)]
struct Claims {
    iss: String,
    tid: String,
    aud: Value,
    exp: f64,
    nbf: Option<f64>,
    iat: Option<f64>,
}

/// What a token must say to count, said anew.
fn is_for_us_and_now(header: &str, kid: &str, claims: &[u8]) {
    let header: Value = serde_json::from_str(header).expect("a header that was taken is JSON");
    let claims: Claims = serde_json::from_slice(claims).expect("claims that were taken are JSON");
    assert_eq!((&header["alg"], &header["kid"]), (&Value::from("EdDSA"), &Value::from(kid)));
    assert!(header.get("crit").is_none() && header.get("b64").is_none(), "{header}");
    assert_eq!(claims.iss, ISSUER.replace("{tid}", &claims.tid), "{claims:?}");
    let audience = &claims.aud;
    assert!(audience == AUDIENCE || audience.as_array().is_some_and(|all| all.iter().any(|one| one == AUDIENCE)));
    #[expect(clippy::cast_precision_loss, reason = "a time of this century in seconds")]
    let now = NOW.parse::<Timestamp>().unwrap().as_millis() as f64 / 1000.0;
    assert!(claims.exp > now, "{claims:?}");
    for time in [claims.nbf, claims.iat].into_iter().flatten() {
        assert!(time <= now + SKEW_S, "{claims:?}");
    }
}
