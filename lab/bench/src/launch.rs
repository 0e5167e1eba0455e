//! Programs that are measured: started on free ports and in folders of their own, gone when
//! dropped.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use tempfile::TempDir;

use crate::failure::{During, Failure, Result};

/// How long a program may take to be ready, and to end when it is asked to.
const PATIENCE: Duration = Duration::from_secs(20);
/// Bytes of a program's talk that a failure repeats.
const TALK_BYTES_MAX: u64 = 2000;
/// Between two looks at a program that cannot say that it is ready.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// A running program.
#[derive(Debug)]
pub(crate) struct Program {
    child: Child,
    folder: TempDir,
    name: String,
}

impl Program {
    /// Starts a program in a new folder. Its output goes to a file there.
    fn spawn(folder: TempDir, command: &mut Command, stdout: Stdio) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let talk = File::create(folder.path().join("talk"))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(talk)
            .spawn()
            .during(|| format!("{name} cannot be started"))?;
        Ok(Self { child, folder, name })
    }

    /// Starts a program that says by its first line that it is ready; returns that line too.
    pub(crate) fn telling(folder: TempDir, command: &mut Command) -> Result<(Self, String)> {
        let mut program = Self::spawn(folder, command, Stdio::piped())?;
        let Some(stdout) = program.child.stdout.take() else {
            return Err(program.failed("has no output"));
        };
        match first_line(stdout) {
            Some(line) => Ok((program, line)),
            None => Err(program.failed("did not start")),
        }
    }

    /// Starts a program that is ready when it accepts connections.
    pub(crate) fn listening(
        folder: TempDir,
        command: &mut Command,
        address: SocketAddr,
    ) -> Result<Self> {
        let talk = File::create(folder.path().join("output"))?;
        let mut program = Self::spawn(folder, command, talk.into())?;
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(address).is_err() {
            if program.child.try_wait()?.is_some() || Instant::now() > deadline {
                return Err(program.failed("did not start"));
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(program)
    }

    /// Its number.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What went wrong, with the program's own words.
    fn failed(&mut self, what: &str) -> Failure {
        let _ = self.child.kill();
        let mut talk = String::new();
        for file in ["talk", "output"] {
            if let Ok(file) = File::open(self.folder.path().join(file)) {
                let _ = file.take(TALK_BYTES_MAX).read_to_string(&mut talk);
            }
        }
        let reason = if talk.is_empty() { "it does not say why" } else { talk.trim() };
        Failure(format!("{} {what}: {reason}", self.name))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The first line of an output, which is read to its end so that its writer never waits.
fn first_line(output: impl Read + Send + 'static) -> Option<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut output = BufReader::new(output);
        let mut line = String::new();
        let read = output.read_line(&mut line);
        let _ = sender.send(read.is_ok_and(|bytes| bytes > 0).then_some(line));
        let _ = std::io::copy(&mut output, &mut std::io::sink());
    });
    receiver.recv_timeout(PATIENCE).ok().flatten()
}

/// Where servers and this program run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Place {
    /// Wherever the kernel puts them.
    Free,
    /// Servers on the first core, this program on the last.
    Apart,
}

/// The cores that this program was given.
#[derive(Debug, Clone)]
pub(crate) struct Cores(CpuSet);

impl Cores {
    /// Asks the kernel. Before anything is pinned.
    pub(crate) fn given() -> Result<Self> {
        Ok(Self(sched_getaffinity(None)?))
    }

    /// Keeps the calling thread where servers run: one that it starts counts the cores that it may
    /// use.
    pub(crate) fn serve(&self, place: Place) -> Result<()> {
        self.enter(place, self.each().next())
    }

    /// Keeps the calling thread where this program runs.
    pub(crate) fn measure(&self, place: Place) -> Result<()> {
        self.enter(place, self.each().last())
    }

    fn each(&self) -> impl Iterator<Item = usize> {
        (0..CpuSet::MAX_CPU).filter(|core| self.0.is_set(*core))
    }

    fn enter(&self, place: Place, own: Option<usize>) -> Result<()> {
        let mut cores = self.0;
        if let (Place::Apart, Some(own)) = (place, own) {
            cores.clear();
            cores.set(own);
        }
        Ok(sched_setaffinity(None, &cores)?)
    }
}

/// A port of this machine that nobody listens on.
pub(crate) fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// A folder for one program.
pub(crate) fn folder() -> Result<TempDir> {
    Ok(tempfile::tempdir()?)
}

/// A program by its name, in `PATH` or where administrators' programs are.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .map(|folder| folder.join(name))
        .find(|program| program.is_file())
}

/// What a program says when it is asked for its version; its first line.
pub(crate) fn version(program: &Path, flag: &str) -> Option<String> {
    let output = Command::new(program).arg(flag).output().ok()?;
    let text = [output.stdout, output.stderr].concat();
    let line = text.split(|byte| *byte == b'\n').find(|line| !line.is_empty())?;
    Some(String::from_utf8_lossy(line).trim().to_owned())
}

/// Writes a file for a program.
pub(crate) fn write(folder: &TempDir, name: &str, text: &str) -> Result<PathBuf> {
    let path = folder.path().join(name);
    fs::write(&path, text)?;
    Ok(path)
}
