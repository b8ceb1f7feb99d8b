//! CSR attributes: what decodes, encodes to the same octets but for the order of values, which has one form.

#![no_main]

use estd_asn1::csr_attrs::{self, AttrOrOid};
use estd_asn1::{Attribute, DecodeError, Oid};
use estd_fuzz::tlv::Tlv;
use libfuzzer_sys::fuzz_target;

const LIMIT: usize = 64;

fuzz_target!(|der: &[u8]| {
    if let Ok(attrs) = csr_attrs::decode(der, LIMIT) {
        holds_what_was_sent(der, &attrs);
        assert!(attrs.len() <= LIMIT);
        if let Some(limit) = attrs.len().checked_sub(1) {
            assert_eq!(csr_attrs::decode(der, limit), Err(DecodeError::TooMany { what: "CsrAttrs", limit }));
        }
        round_trips(der, &attrs);
    }
});

fn holds_what_was_sent(der: &[u8], attrs: &[AttrOrOid]) {
    let elements = Tlv::only(der).and_then(|outer| outer.elements()).expect("values in a SEQUENCE");
    assert_eq!(elements.len(), attrs.len());
    for (element, attr) in elements.iter().zip(attrs) {
        match attr {
            AttrOrOid::Oid(oid) => {
                assert_eq!(oid.encode(), element.whole);
                reads_in_dotted_form(oid);
            }
            AttrOrOid::Attribute(Attribute { oid, values }) => {
                let parts = element.elements().expect("type and values");
                assert_eq!(parts.len(), 2, "an Attribute has two fields");
                assert_eq!((oid.encode().as_slice(), parts[1].tag), (parts[0].whole, 0x31));
                let sent: Vec<_> = parts[1].elements().expect("values in a SET").iter().map(|tlv| tlv.whole).collect();
                assert_eq!(values, &sent, "bit for bit, in wire order");
                reads_in_dotted_form(oid);
            }
        }
    }
}

fn round_trips(der: &[u8], attrs: &[AttrOrOid]) {
    let sorted: Vec<_> = attrs.iter().cloned().map(with_sorted_values).collect();
    let encoded = csr_attrs::encode(attrs);
    assert_eq!(encoded.len(), der.len(), "only the order of values changes");
    assert_eq!(csr_attrs::decode(&encoded, LIMIT).as_ref(), Ok(&sorted));
    assert_eq!(csr_attrs::encode(&sorted), encoded);
    if sorted == attrs {
        assert_eq!(encoded, der, "one encoding to one list");
    }
}

fn with_sorted_values(attr: AttrOrOid) -> AttrOrOid {
    match attr {
        AttrOrOid::Oid(oid) => AttrOrOid::Oid(oid),
        AttrOrOid::Attribute(Attribute { oid, mut values }) => {
            values.sort();
            AttrOrOid::Attribute(Attribute { oid, values })
        }
    }
}

fn reads_in_dotted_form(oid: &Oid) {
    assert_eq!(Oid::parse(&oid.to_string()).as_ref(), Some(oid), "{oid}");
}
