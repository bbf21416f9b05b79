//! Any bytes as a CSV file of keys: each row of the header's width, read or left out with a warning.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate_keys::import::file::table;
use tollgate_keys::import::rows::read_file;

fuzz_target!(|file: &[u8]| {
    let Ok((header, rows)) = table(file) else {
        assert!(read_file(file).is_err(), "no table, and yet a file");
        return;
    };
    for (index, (number, row)) in rows.iter().enumerate() {
        assert_eq!(*number, index + 1);
        assert_eq!(row.len(), header.len());
    }
    let _ = read_file(file);
});
