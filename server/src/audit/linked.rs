//! An entry together with its links, read from JSON in one pass and without a copy in between.
//!
//! Serde reads an enum with an inner tag by way of a tree of everything in it. Here the type is known
//! from how a line begins, and the links are taken out on the way to the entry's own members.
//! Deliberately absent: hashes, and lines that begin otherwise than the log writes them;
//! [`super::record::Entry::read`] has both.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{
        DeserializeSeed, Error, IgnoredAny, IntoDeserializer as _, MapAccess, Visitor,
        value::MapAccessDeserializer,
    },
};

use super::chain::Links;

/// The members of `T`, and among them `type`, `seq`, `prev` and `hash`, each at most once.
#[derive(Debug)]
pub(super) struct Linked<T> {
    pub(super) links: Links,
    pub(super) entry: T,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Linked<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(LinkedVisitor(PhantomData))
    }
}

struct LinkedVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for LinkedVisitor<T> {
    type Value = Linked<T>;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("an entry with links")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Linked<T>, A::Error> {
        let mut members = Members {
            map,
            entry_type: None,
            seq: None,
            prev: None,
            hash: None,
        };
        let entry = T::deserialize(MapAccessDeserializer::new(&mut members))?;
        members
            .entry_type
            .ok_or_else(|| Error::missing_field("type"))?;
        let links = Links {
            seq: members.seq.flatten(),
            prev: members.prev.ok_or_else(|| Error::missing_field("prev"))?,
            hash: members.hash.ok_or_else(|| Error::missing_field("hash"))?,
        };
        Ok(Linked { links, entry })
    }
}

/// The members of a line: the links are kept here, and the entry sees the others.
struct Members<A> {
    map: A,
    entry_type: Option<IgnoredAny>,
    seq: Option<Option<u64>>,
    prev: Option<String>,
    hash: Option<String>,
}

impl<'de, A: MapAccess<'de>> Members<A> {
    /// Keeps the next value in `place`, if that is free.
    fn keep<V: Deserialize<'de>>(
        map: &mut A,
        name: &'static str,
        place: &mut Option<V>,
    ) -> Result<(), A::Error> {
        if place.is_some() {
            return Err(Error::duplicate_field(name));
        }
        *place = Some(map.next_value()?);
        Ok(())
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Members<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        let mut seed = seed;
        loop {
            match self.map.next_key_seed(MemberName(seed))? {
                None => return Ok(None),
                Some(Member::OfEntry(name)) => return Ok(Some(name)),
                Some(Member::Link(link, unused)) => {
                    seed = unused;
                    let map = &mut self.map;
                    match link {
                        Link::Type => Self::keep(map, "type", &mut self.entry_type),
                        Link::Seq => Self::keep(map, "seq", &mut self.seq),
                        Link::Prev => Self::keep(map, "prev", &mut self.prev),
                        Link::Hash => Self::keep(map, "hash", &mut self.hash),
                    }?;
                }
            }
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
}

enum Link {
    Type,
    Seq,
    Prev,
    Hash,
}

/// A name of a link, with the seed that it did not take; or what the seed made of another name.
enum Member<K, V> {
    Link(Link, K),
    OfEntry(V),
}

struct MemberName<K>(K);

impl<'de, K: DeserializeSeed<'de>> DeserializeSeed<'de> for MemberName<K> {
    type Value = Member<K, K::Value>;

    fn deserialize<D: Deserializer<'de>>(self, name: D) -> Result<Self::Value, D::Error> {
        name.deserialize_str(self)
    }
}

impl<'de, K: DeserializeSeed<'de>> Visitor<'de> for MemberName<K> {
    type Value = Member<K, K::Value>;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("the name of a member")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        let link = match name {
            "type" => Link::Type,
            "seq" => Link::Seq,
            "prev" => Link::Prev,
            "hash" => Link::Hash,
            other => {
                let entrys = self.0.deserialize(other.into_deserializer())?;
                return Ok(Member::OfEntry(entrys));
            }
        };
        Ok(Member::Link(link, self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::record::{Entry, Gap};

    type Read = Option<(Links, Entry)>;

    fn both(json: &str) -> (Read, Read) {
        let linked = serde_json::from_str::<Linked<Gap>>(json).ok();
        let apart = serde_json::from_str(json).ok();
        let apart = apart.zip(serde_json::from_str(json).ok());
        (
            linked.map(|read| (read.links, Entry::Gap(read.entry))),
            apart,
        )
    }

    #[test]
    fn what_is_read_in_one_pass_is_what_is_read_apart() {
        const GAP: &str = r#""time":"t","refused":2,"cause":"no-space""#;
        const LINKS: &str = r#""type":"gap","seq":7,"prev":"p""#;
        for (members, is_read) in [
            (format!("{LINKS},{GAP}"), true),
            (format!("{GAP},{LINKS}"), true),
            (format!(r#"{LINKS},"later":{{"seq":[1]}},{GAP}"#), true),
            (format!(r#""type":"gap","prev":"p",{GAP}"#), true),
            (
                format!(r#""type":"gap","seq":null,"prev":"\u0070",{GAP}"#),
                true,
            ),
            (format!(r#""type":"gap","seq":7,{GAP}"#), false),
            (format!(r#""seq":7,"prev":"p",{GAP}"#), false),
            (format!(r#"{LINKS},"type":"gap",{GAP}"#), false),
            (format!(r#"{LINKS},"seq":7,{GAP}"#), false),
            (format!(r#"{LINKS},"prev":"p",{GAP}"#), false),
            (format!(r#"{LINKS},"hash":"h",{GAP}"#), false),
            (format!(r#"{LINKS},{GAP},"refused":2"#), false),
            (format!(r#""type":"gap","seq":-7,"prev":"p",{GAP}"#), false),
            (format!(r#""type":"gap","seq":7,"prev":1,{GAP}"#), false),
            (format!(r#"{LINKS},"time":"t","cause":"no-space""#), false),
        ] {
            let json = format!(r#"{{{members},"hash":"h"}}"#);
            let (linked, apart) = both(&json);
            assert_eq!(linked, apart, "{json}");
            assert_eq!(linked.is_some(), is_read, "{json}");
        }
    }
}
