# fish completion for epolyfill, printed by: epolyfill --completion=fish

complete -c epolyfill -l no-kernel-epoll -d 'Make the kernel\'s epoll calls fail with ENOSYS (seccomp; sets no_new_privs).'
complete -c epolyfill -s c -l counters -d 'Print the library\'s counters on standard error at exit.'
complete -c epolyfill -l poller -x -a 'auto poll uring' -d 'Choose how the library learns readiness.'
complete -c epolyfill -l no-children -d 'Serve only the program, not its children.'
complete -c epolyfill -l audit -d 'Report faults in the program\'s use of epoll on standard error.'
complete -c epolyfill -l check -d 'Report whether the program can be served, without running it.'
complete -c epolyfill -l doctor -d 'Report the system features that the library can use, and the pollers.'
complete -c epolyfill -l demo -d 'Show epolyfill at work beside the kernel\'s epoll and plain poll.'
complete -c epolyfill -l completion -x -a 'bash fish zsh' -d 'Print the completion script of a shell.'
complete -c epolyfill -s h -l help -d 'Print this help.'
complete -c epolyfill -s V -l version -d 'Print the version.'
complete -c epolyfill -x -a '(__fish_complete_subcommand -- --poller --completion)'
