kernel 9 "python invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0"
kernel 9 "memory: usage 524288kB, limit 524288kB, failcnt 8321"
kernel 9 "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/system.slice/$worker,task_memcg=/system.slice/$worker,task=python,pid=5177,uid=998"
kernel 9 "Memory cgroup out of memory: Killed process 5177 (python) total-vm:812344kB, anon-rss:519820kB, file-rss:9216kB, shmem-rss:0kB, UID:998 pgtables:1284kB oom_score_adj:0"
