//! What the clock runs in this domain, one a file.

common::schedules! {
    schedule_tracking::ScheduleTracking,
    renew_track_alerts::RenewTrackAlerts,
}
