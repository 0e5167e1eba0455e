//! What a relay cannot do: the kernel's own emulator, netem, which loses segments under TCP.
//!
//! It is set up only in a network namespace, which the process must have entered before, or which
//! ends with the trial. [`recipe`] writes the same as a line for a shell.

use std::io;
use std::process::Stdio;

use tokio::process::Command;

use crate::properties::Link;

/// Tries netem on the loopback interface of a new network namespace.
///
/// # Errors
///
/// One line that says what is missing.
pub async fn check() -> Result<(), String> {
    let script = "ip link set lo up && tc qdisc add dev lo root netem delay 1ms";
    let output = Command::new("unshare")
        .args(["--net", "sh", "-c", script])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await;
    let output = match output {
        Ok(output) if output.status.success() => return Ok(()),
        Ok(output) => output,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err("netem cannot be used: the program unshare is missing".to_owned());
        }
        Err(error) => return Err(format!("netem cannot be used: unshare: {error}")),
    };
    Err(obstacle(&String::from_utf8_lossy(&output.stderr)))
}

/// Puts netem before the loopback interface of this process's network, in which nothing else should
/// be: every packet passes it once, so a round trip has the delay twice.
///
/// # Errors
///
/// One line that says what is missing.
pub fn emulate(link: &Link) -> Result<(), String> {
    let output = std::process::Command::new("tc")
        .args(["qdisc", "add", "dev", "lo", "root", "netem"])
        .args(properties(link).split(' '))
        .stdin(Stdio::null())
        .output();
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(obstacle(&String::from_utf8_lossy(&output.stderr))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(obstacle("tc: not found")),
        Err(error) => Err(format!("netem cannot be used: tc: {error}")),
    }
}

/// What the programs' complaint comes down to.
fn obstacle(errors: &str) -> String {
    let has = |text: &str| errors.contains(text);
    let reason = if has("not permitted") || has("denied") {
        "it needs root, to make a network namespace"
    } else if has("not found") {
        "the programs ip and tc are missing (package iproute2)"
    } else if has("qdisc kind is unknown") || has("No such file") {
        "this kernel is built without it (module sch_netem)"
    } else {
        errors.lines().next().unwrap_or("it does not say why")
    };
    format!("netem cannot be used: {reason}; --link works everywhere, without loss under TCP")
}

/// A link in netem's words.
fn properties(link: &Link) -> String {
    let mut netem = format!("delay {}us {}us", link.delay.as_micros(), link.jitter.as_micros());
    for (name, share) in
        [("loss", link.loss), ("reorder", link.reorder), ("duplicate", link.duplicate)]
    {
        if share > 0.0 {
            netem = format!("{netem} {name} {}%", share * 100.0);
        }
    }
    if let Some(rate) = link.rate {
        netem = format!("{netem} rate {rate}bit");
    }
    netem
}

/// The shell's line that runs a command behind such a link in a network of its own, as root.
pub fn recipe(link: &Link, command: &str) -> String {
    let netem = properties(link);
    format!(
        "unshare --net sh -c 'ip link set lo up && tc qdisc add dev lo root netem {netem} && \
         {command}'"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_told_in_one_line() {
        for (errors, expected) in [
            ("unshare: unshare failed: Operation not permitted\n", "needs root"),
            ("sh: 1: tc: not found\n", "iproute2"),
            ("Error: Specified qdisc kind is unknown.\n", "sch_netem"),
            ("RTNETLINK answers: No such file or directory\n", "sch_netem"),
            ("something else\nand more\n", "something else"),
        ] {
            let line = obstacle(errors);
            assert!(line.contains(expected) && !line.contains('\n'), "{line}");
        }
    }

    #[tokio::test]
    async fn a_trial_says_yes_or_what_is_missing() {
        match check().await {
            Ok(()) => println!("netem is there"),
            Err(line) => assert!(line.starts_with("netem cannot be used: "), "{line}"),
        }
    }

    #[test]
    fn the_recipe_has_every_property() {
        let link = Link::parse("delay 40ms jitter 5ms rate 10mbit loss 1%").unwrap();
        assert_eq!(
            recipe(&link, "doorbell compare"),
            "unshare --net sh -c 'ip link set lo up && tc qdisc add dev lo root netem delay \
             40000us 5000us loss 1% rate 10000000bit && doorbell compare'"
        );
    }
}
