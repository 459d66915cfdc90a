kernel 9 "postgres invoked oom-killer: gfp_mask=0x140cca(GFP_HIGHUSER_MOVABLE|__GFP_COMP), order=0, oom_score_adj=-900"
kernel 9 "oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,task_memcg=/user.slice/user-0.slice/session-4.scope,task=convert,pid=6200,uid=0"
kernel 9 "Out of memory: Killed process 6200 (convert) total-vm:6116144kB, anon-rss:3784012kB, file-rss:104kB, shmem-rss:0kB, UID:0 pgtables:7712kB oom_score_adj:0"
