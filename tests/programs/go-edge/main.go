// A loop with a fault: it reads a part of what an edge-triggered pipe has, and sleeps on the rest.
// It makes the calls of epoll itself, beside the runtime, and sees six edges.
package main

import (
	"os"
	"runtime"
	"syscall"
	"time"
)

const (
	edges = 6
	edge  = 1 << 31 // EPOLLET
)

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func register(instance, pipe int) {
	event := syscall.EpollEvent{Events: syscall.EPOLLIN | edge, Fd: int32(pipe)}
	check(syscall.EpollCtl(instance, syscall.EPOLL_CTL_ADD, pipe, &event))
}

func main() {
	// A goroutine that moves to another thread has not slept in this one.
	runtime.LockOSThread()
	instance, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	check(err)
	var pipe [2]int
	check(syscall.Pipe2(pipe[:], syscall.O_CLOEXEC|syscall.O_NONBLOCK))
	register(instance, pipe[0])
	go func() {
		for {
			_, err := syscall.Write(pipe[1], []byte("eight of 20 are read"))
			check(err)
			time.Sleep(150 * time.Millisecond)
		}
	}()
	events := make([]syscall.EpollEvent, 8)
	for seen := 0; seen < edges; {
		count, err := syscall.EpollWait(instance, events, -1)
		if err == syscall.EINTR {
			continue
		}
		check(err)
		for range events[:count] {
			_, err := syscall.Read(pipe[0], make([]byte, 8))
			check(err)
			seen++
		}
	}
	os.Stdout.WriteString("six edges\n")
}
