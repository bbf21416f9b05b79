//! Any bytes as a CSV file of keys: every row has the columns of the header.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate_keys::import::table;

fuzz_target!(|file: &[u8]| {
    let Ok((header, rows)) = table(file) else {
        return;
    };
    for (index, (number, row)) in rows.iter().enumerate() {
        assert_eq!(*number, index + 1);
        assert_eq!(row.len(), header.len());
    }
});
