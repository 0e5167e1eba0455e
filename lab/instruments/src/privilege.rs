//! What a process lacks that may not capture packets.

use doorbell_wire::MISSING_PRIVILEGE;

/// What to do about it, with the name of this program.
pub fn missing_privilege() -> String {
    let own = std::env::current_exe().ok();
    let own = own.map_or_else(|| "doorbell".to_owned(), |own| own.display().to_string());
    MISSING_PRIVILEGE.replace("PROGRAM", &own)
}
