//! To come.
pub async fn run() {}
