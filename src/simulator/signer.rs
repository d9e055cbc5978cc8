//! JSON Web Tokens (RFC 7519) as the vendors hand them out.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    hmac,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};
use serde_json::Value;

/// The vendors' signing keys. HS256 is derived from the seed; ES256 is new with every start.
#[derive(Clone)]
pub(super) struct Signer {
    hmac: hmac::Key,
    ecdsa: Option<Arc<EcdsaKeyPair>>,
    random: SystemRandom,
}

impl Signer {
    pub(super) fn new(seed: u64) -> Self {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let ecdsa = EcdsaKeyPair::generate_pkcs8(algorithm, &random)
            .ok()
            .and_then(|document| EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).ok())
            .map(Arc::new);
        Self { hmac: hmac::Key::new(hmac::HMAC_SHA256, &seed.to_be_bytes()), ecdsa, random }
    }

    /// A compact JWS. `header` says the algorithm; where it is ES256 and the system has no randomness for it,
    /// the signature is HMAC's: no client checks it.
    pub(super) fn sign(&self, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(header), part(claims));
        let es256 = header.get("alg").and_then(Value::as_str) == Some("ES256");
        let signature = match &self.ecdsa {
            Some(key) if es256 => key
                .sign(&self.random, message.as_bytes())
                .ok()
                .map(|signature| URL_SAFE_NO_PAD.encode(signature)),
            _ => None,
        };
        let signature =
            signature.unwrap_or_else(|| URL_SAFE_NO_PAD.encode(hmac::sign(&self.hmac, message.as_bytes())));
        format!("{message}.{signature}")
    }
}

/// Header and claims of a JWT, its signature unread.
pub(super) fn parts(token: &str) -> Option<(Value, Value)> {
    let mut parts = token.split('.').map(|part| {
        let bytes = URL_SAFE_NO_PAD.decode(part).ok()?;
        serde_json::from_slice(&bytes).ok()
    });
    Some((parts.next()??, parts.next()??))
}
