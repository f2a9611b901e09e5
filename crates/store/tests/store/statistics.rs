//! The planner of PostgreSQL is told when tables have outgrown what it knows.

use crate::support::{arrival, on_both};

on_both! {
    async fn the_planner_looks_at_what_was_just_imported(db: &Database) {
        assert_eq!(db.store.refresh_statistics().await.unwrap(), 0, "nothing is large");
        for thousand in 0..4 {
            let people = (0..1_000).map(|index| arrival(&format!("u{thousand}-{index}"))).collect();
            db.store.import("hr", people).await.unwrap();
        }
        let outgrown = db.store.refresh_statistics().await.unwrap();
        assert_eq!(outgrown > 0, db.url.starts_with("postgres"), "{outgrown}");
        assert_eq!(db.store.refresh_statistics().await.unwrap(), 0, "it knows now");
    }
}
