//! What is measured before the rounds: what one of each costs, what waiting costs, and what a
//! subscriber takes of memory.

use std::time::Duration;

use doorbell_instruments::Failure;

use crate::contender::Contender;
use crate::idle::{self, Idle};
use crate::memory::{self, KernelSource, Memory};
use crate::setup::Setup;
use crate::unit_cost::{Costing, UnitCost};
use crate::way::Way;

/// All that is measured before the rounds.
pub(crate) struct Costs {
    pub(crate) units: Vec<UnitCost>,
    /// Of each contender that was watched for a whole period.
    pub(crate) idle: Vec<Option<Idle>>,
    pub(crate) kernel: KernelSource,
}

impl Costs {
    /// Measures these ways with messages of so many bytes, and what these contenders cost while
    /// they wait for so long.
    pub(crate) async fn measure(
        setup: &Setup,
        ways: &[Way],
        payload: u32,
        (contenders, length): (&[Contender], Duration),
    ) -> Result<Self, Failure> {
        let costing = Costing {
            server: &setup.server,
            places: &setup.places,
            lively: setup.lively(),
            keepalive: setup.keepalive,
            payload: payload as usize,
        };
        let (mut units, idle) = tokio::try_join!(
            costing.measure(ways),
            idle::watch(contenders, &setup.places, setup.keepalive, length),
        )?;
        if !setup.is_own() {
            let reason = "only a server that was started for the run is filled with subscribers";
            return Ok(Self { units, idle, kernel: KernelSource::missing(reason) });
        }
        let (memory, kernel) = memory::measure(ways, &setup.server, &setup.places).await?;
        for (unit, Memory { resident_bytes, kernel_bytes }) in units.iter_mut().zip(memory) {
            unit.resident_bytes_per_subscriber = resident_bytes;
            unit.kernel_bytes_per_subscriber = kernel_bytes;
        }
        Ok(Self { units, idle, kernel })
    }
}
