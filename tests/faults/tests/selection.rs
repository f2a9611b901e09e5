//! The selection of the fault suite that `make test` plays; `make faults` plays all of it.

use scimfleet_faults::figures::{Figures, table};
use scimfleet_faults::play;
use scimfleet_faults::scenarios::{Scenario, all};
use scimfleet_faults::services::Services;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_duplicated_or_resurrected() {
    let services = Services::from_environment().map_err(|failure| failure.0).unwrap();
    let chosen: Vec<&Scenario> = all().iter().filter(|scenario| scenario.quick).collect();
    assert!(!chosen.is_empty());
    let figures = play(&services, &chosen, 1).await;
    println!("{}", table(&figures));
    assert!(figures.iter().all(Figures::is_green), "{}", table(&figures));
}
