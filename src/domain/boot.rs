use std::fmt;
use std::str::FromStr;

/// Which boot of the system it is: [`BootInstant`](super::BootInstant)s of one can be compared. Linux makes a random UUID
/// at each (`/proc/sys/kernel/random/boot_id`, random(4)).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct BootId(u128);

impl BootId {
    /// As seen in a time namespace (`time_namespaces(7)`), which has a boot clock of its own.
    #[must_use]
    pub fn within(self, namespace: u64) -> Self {
        Self(self.0 ^ u128::from(namespace))
    }
}

impl FromStr for BootId {
    type Err = std::num::ParseIntError;

    /// From the UUID's digits, with hyphens or without.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u128::from_str_radix(&text.trim().replace('-', ""), 16).map(Self)
    }
}

impl fmt::Display for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl serde::Serialize for BootId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for BootId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boot_is_named_as_the_system_names_it() {
        let boot: BootId = "0a3f0b62-5c1d-4f6e-9d2b-0123456789ab\n".parse().unwrap();
        assert_eq!(boot.to_string(), "0a3f0b625c1d4f6e9d2b0123456789ab");
        assert_eq!(boot.to_string().parse(), Ok(boot));
        assert_ne!(boot.within(0xeffffffa), boot.within(0xf0000001));
        assert!("".parse::<BootId>().is_err() && "not an id".parse::<BootId>().is_err());
    }
}
