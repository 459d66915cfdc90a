systemd 9 $web "$web: A process of this unit has been killed by the OOM killer." fe6faa94e7774663a0da52717891d8ef
systemd 8 $web "$web: Main process exited, code=killed, status=9/KILL" 98e322203f7a4ed290d09fe03c09fe15
systemd 8 $web "$web: Failed with result 'oom-kill'." d9b373ed55a64feb8242e02dbe79a49c
systemd 7 $web "$web: Scheduled restart job, restart counter is at 1." 5eb03494b6584870a536b337290809b3
