//! What is measured before the rounds: what one of each costs, what waiting costs, and what a
//! subscriber takes of memory.

use std::time::Duration;

use doorbell_instruments::Failure;

use crate::compressed::Compressed;
use crate::contender::Contender;
use crate::emulated::Cleared;
use crate::idle::{self, Idle};
use crate::memory::{self, KernelSource};
use crate::setup::Setup;
use crate::unit_cost::{Costing, UnitCost};
use crate::way::Way;

/// All that is measured before the rounds.
pub(crate) struct Costs {
    pub(crate) units: Vec<UnitCost>,
    /// What push would save if it were compressed.
    pub(crate) compressed: Option<Compressed>,
    /// Of each contender that was watched for a whole period.
    pub(crate) idle: Vec<Option<Idle>>,
    pub(crate) kernel: KernelSource,
}

impl Costs {
    /// From an empty poll on a kept connection to its answer, if one was measured.
    pub(crate) fn round_trip_us(&self) -> Option<f64> {
        self.units.iter().find_map(|unit| unit.round_trip_us)
    }

    /// Measures these ways with messages of so many bytes, and what these contenders cost while
    /// they wait for so long.
    pub(crate) async fn measure(
        setup: &Setup,
        ways: &[Way],
        payload: u32,
        (contenders, length): (&[Contender], Duration),
    ) -> Result<Self, Failure> {
        let costing = Costing {
            publish_at: &setup.publish_at,
            places: &setup.places,
            lively: setup.lively(),
            keepalive: setup.keepalive,
            payload: payload as usize,
        };
        let ((mut units, compressed), idle) = tokio::try_join!(
            costing.measure(ways),
            idle::watch(contenders, &setup.places, setup.keepalive, length),
        )?;
        if !setup.is_own() {
            let reason = "only a server that was started for the run is filled with subscribers";
            return Ok(Self { units, compressed, idle, kernel: KernelSource::missing(reason) });
        }
        let _cleared = Cleared::new(setup.emulated.as_ref());
        let (memory, kernel) = memory::measure(ways, &setup.server, &setup.places).await?;
        for (unit, memory) in units.iter_mut().zip(memory) {
            unit.memory = memory;
        }
        Ok(Self { units, compressed, idle, kernel })
    }
}
