//! The domain's schedules, one a file.

common::schedules! {
    schedule_tracking::ScheduleTracking,
    renew_track_alerts::RenewTrackAlerts,
}
