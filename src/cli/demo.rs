//! `consentry demo`: the stories of support access, played on a real server by people with real tokens.
//!
//! What lives here: the stage (a server in a temporary folder), the cast, the stories as lists of steps, and what is
//! printed. What does not: any logic of the product; everything happens over HTTP.

mod cast;
mod check;
mod curl;
mod player;
mod stage;
mod story;
mod timeline;

use std::io::Write;
use std::net::SocketAddr;

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};

use self::player::Player;
use self::stage::Stage;
use self::timeline::Timeline;
use super::telemetry;
use crate::config::{LogFormat, TelemetrySettings};

/// Plays the stories of support access on a server of its own, then keeps serving for you to try. Leaves nothing behind.
#[derive(Debug, Args)]
pub(super) struct Demo {
    /// Where to listen; when the port is taken, on another free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8620")]
    listen: SocketAddr,
    /// End after the stories.
    #[arg(long)]
    once: bool,
}

impl Demo {
    pub(super) fn run(self) -> anyhow::Result<()> {
        telemetry::start(&TelemetrySettings { format: LogFormat::Pretty, filter: "warn".to_owned() })?;
        tokio::runtime::Runtime::new().context("the runtime cannot start")?.block_on(self.perform())
    }

    async fn perform(&self) -> anyhow::Result<()> {
        // Before there is anything to clear away: from here on a signal ends the demo in order.
        let mut stop = Stop::listen()?;
        let stage = Stage::build(self.listen).await?;
        let mut timeline = Timeline::on(anstream::stdout());
        let outcome = tokio::select! {
            outcome = self.show(&stage, &mut timeline) => outcome,
            () = stop.asked() => Err(anyhow!("stopped before the stories had ended")),
        };
        if outcome.is_ok() && !self.once {
            stop.asked().await;
        }
        stage.clear().await?;
        outcome
    }

    async fn show<W: Write>(&self, stage: &Stage, timeline: &mut Timeline<W>) -> anyhow::Result<()> {
        let mut player = Player::new(stage)?;
        timeline.opens(stage.url())?;
        let mut differences = 0;
        for (number, story) in (1..).zip(story::stories()) {
            timeline.story(number, &story)?;
            for step in &story.steps {
                let answers = player.play(step).await.with_context(|| format!("{} {}", step.who.name(), step.says))?;
                let found = check::differences(&step.expected, &answers);
                timeline.step(step, &answers, &found)?;
                differences += usize::from(!found.is_empty());
            }
        }
        timeline.ends(differences)?;
        if differences > 0 {
            bail!("{differences} of the steps did not come out as the rules say");
        }
        if !self.once {
            timeline.text(&curl::commands(stage, &player.pending_consents().await?))?;
        }
        Ok(())
    }
}

/// Being told to stop: Ctrl-C, `kill`, or the terminal that closes.
struct Stop {
    signals: [Signal; 3],
}

impl Stop {
    fn listen() -> anyhow::Result<Self> {
        let on = |kind| signal(kind).context("signals cannot be listened to");
        Ok(Self { signals: [on(SignalKind::interrupt())?, on(SignalKind::terminate())?, on(SignalKind::hangup())?] })
    }

    async fn asked(&mut self) {
        let [interrupt, terminate, hang_up] = &mut self.signals;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hang_up.recv() => {}
        }
    }
}
