"""When timers are due: cron's five fields, time zones, systemd's calendar; pure."""
