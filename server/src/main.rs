//! `doorbell-server`: reads the settings, serves, and stops when it is told to; or does a command
//! with an access file or a log.

use std::io::{self, stdout};
use std::process::ExitCode;

use doorbell_server::admin::{self, Outcome};
use doorbell_server::config;
use doorbell_server::inherited::Inherited;
use doorbell_server::serve::{self, Bound};
use mimalloc::MiMalloc;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tracing_subscriber::EnvFilter;

/// Messages are made by one thread and dropped by others, for which the C library's allocator takes
/// locks.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// The exit code of a server that could not start.
const CANNOT_START: u8 = 2;

fn main() -> ExitCode {
    let mut config = match config::read(std::env::args_os()) {
        Ok(config) => config,
        Err(error) if error.use_stderr() => {
            // The first line names the fault; what follows is advice that clap adds.
            let text = error.to_string();
            eprintln!("{}", text.lines().next().unwrap_or("error: invalid arguments"));
            return ExitCode::from(CANNOT_START);
        }
        Err(help) => {
            let _ = help.print();
            return ExitCode::SUCCESS;
        }
    };
    if let Some(command) = config.command.take() {
        return match admin::run(
            command,
            config::command,
            config.access.as_deref(),
            &config.log_home(),
        ) {
            Ok(Outcome::Done) => ExitCode::SUCCESS,
            Ok(Outcome::Refused) => ExitCode::FAILURE,
            Err(error) => cannot_start(&error),
        };
    }
    let filter = std::env::var("DOORBELL_LOG").ok().filter(|filter| !filter.is_empty());
    let filter = filter.and_then(|filter| EnvFilter::try_new(filter).ok());
    // What the client of NATS has to say is told by the log, in its own words.
    let filter = filter.unwrap_or_else(|| EnvFilter::new("warn,async_nats=off"));
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_env_filter(filter).init();
    // While nobody else can look at the environment, which is changed by it.
    let inherited = match Inherited::take() {
        Ok(inherited) => inherited,
        Err(error) => return cannot_start(&error),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return cannot_start(&error),
    };
    let code = runtime.block_on(run(&config, inherited));
    // Whatever was not done within the grace is not waited for.
    runtime.shutdown_background();
    code
}

async fn run(config: &config::Config, inherited: Inherited) -> ExitCode {
    let mut signals = match Signals::listen(config.until_stdin_ends) {
        Ok(signals) => signals,
        Err(error) => return cannot_start(&error),
    };
    let bound = match Bound::bind(config, inherited) {
        Ok(bound) => bound,
        Err(error) => return cannot_start(&error),
    };
    #[cfg(feature = "cluster")]
    let bound = {
        let mut bound = bound;
        let opened = tokio::select! {
            opened = bound.wait_for_log(config, stdout()) => opened,
            () = signals.stop() => return ExitCode::SUCCESS,
        };
        if let Err(error) = opened {
            return cannot_start(&error);
        }
        bound
    };
    let server = match serve::start(config, bound) {
        Ok(server) => server,
        Err(error) => return cannot_start(&error),
    };
    // Its standard output may have been closed from outside; that is no reason to stop.
    let _ = server.announce(stdout().lock());
    while signals.next().await == Order::Reread {
        server.reread().await;
    }
    server.stop(signals.stop()).await;
    ExitCode::SUCCESS
}

/// The signals that mean something, and two that would end the process otherwise. The end of the
/// standard input is one more, if that is asked for.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
    hangup: Signal,
    user: [Signal; 2],
    stdin: Option<oneshot::Receiver<()>>,
}

/// What a signal orders.
#[derive(PartialEq, Eq)]
enum Order {
    Stop,
    Reread,
}

impl Signals {
    fn listen(until_stdin_ends: bool) -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            hangup: signal(SignalKind::hangup())?,
            user: [signal(SignalKind::user_defined1())?, signal(SignalKind::user_defined2())?],
            stdin: if until_stdin_ends { Some(end_of_stdin()?) } else { None },
        })
    }

    async fn next(&mut self) -> Order {
        let [first, second] = &mut self.user;
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return Order::Stop,
                _ = self.interrupt.recv() => return Order::Stop,
                _ = self.quit.recv() => return Order::Stop,
                _ = self.hangup.recv() => return Order::Reread,
                () = ended(&mut self.stdin) => return Order::Stop,
                _ = first.recv() => {}
                _ = second.recv() => {}
            }
        }
    }

    /// The next order to stop.
    async fn stop(&mut self) {
        while self.next().await != Order::Stop {}
    }
}

/// Hears of the end of the standard input, read by a thread of its own: nobody can wait for it in
/// another way, and the process may end without it.
fn end_of_stdin() -> io::Result<oneshot::Receiver<()>> {
    let (held, ended) = oneshot::channel::<()>();
    std::thread::Builder::new().name("stdin".to_owned()).spawn(move || {
        // What cannot be read has ended, too.
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        drop(held);
    })?;
    Ok(ended)
}

/// Waits for that, once.
async fn ended(stdin: &mut Option<oneshot::Receiver<()>>) {
    let Some(receiver) = stdin else { return std::future::pending().await };
    let _ = receiver.await;
    *stdin = None;
}

fn cannot_start(error: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::from(CANNOT_START)
}
