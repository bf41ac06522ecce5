//! Every list of fields is sealed and opened again, or refused because of its order.
#![no_main]

use libfuzzer_sys::fuzz_target;
use phi::{BranchKey, FieldNumber, KeyVersion, Place, SealError, Zeroizing};

fuzz_target!(|fields: Vec<(u16, Vec<u8>)>| {
    let key = BranchKey::new(KeyVersion::FIRST, Zeroizing::new([7; 32]));
    let place = Place { tenant: "t", table: "t", record: "r" };
    let Ok(mut sealer) = key.sealer(&place) else { panic!("no sealer") };
    let mut kept: Vec<(FieldNumber, Vec<u8>)> = Vec::new();
    for (number, plaintext) in fields {
        let Some(number) = FieldNumber::new(number) else { continue };
        let ascends = kept.last().is_none_or(|(last, _)| *last < number);
        let expected = if ascends { Ok(()) } else { Err(SealError::FieldOrder) };
        assert_eq!(sealer.field(number, &plaintext), expected);
        if ascends {
            kept.push((number, plaintext));
        }
    }
    let Ok(sealed) = sealer.finish() else { panic!("not finished") };
    let Ok(opener) = key.opener(&place, &sealed) else { panic!("not opened") };
    for (number, plaintext) in kept {
        assert_eq!(opener.field(number).ok().flatten().as_deref(), Some(&plaintext));
    }
});
