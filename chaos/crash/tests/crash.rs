//! A short run of everything; `make crash` runs the long one.

use std::process::Command;

#[test]
fn nothing_acknowledged_is_lost_in_silence_by_any_fault() {
    let output = Command::new(env!("CARGO_BIN_EXE_thalweg-crash"))
        .args(["--cuts", "24", "--corruptions", "70", "--stride", "40", "--stall-seconds", "2"])
        .output()
        .expect("the program starts");
    let (said, complaint) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("{said}");
    assert!(output.status.success(), "{said}\n{complaint}");
    assert!(said.contains("0 promises broken, 0 kinds of faults never happened"), "{said}");
}
