// A Go program, whose runtime waits by system call instructions of its own: HTTP between
// goroutines, connections that are half closed, deadlines, a pipe, signals, children. It prints
// what it did and whose epoll it has, and fails at the first wrong byte. The arguments are programs
// that it starts, each of which prints "ran".
package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	clients  = 40
	requests = 100
)

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func expect(what string, is bool) {
	if !is {
		panic("not so: " + what)
	}
}

// body is what the server answers to a path, of a few bytes to some 60 KB.
func body(path string) []byte {
	return bytes.Repeat([]byte(path+"\n"), 1+len(path)*len(path)*len(path)%5000)
}

func listen() net.Listener {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	return listener
}

func requestAll() int {
	listener := listen()
	go http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Write(body(r.URL.Path))
	}))
	client := &http.Client{
		Transport: &http.Transport{MaxIdleConnsPerHost: clients},
		Timeout:   60 * time.Second,
	}
	var group sync.WaitGroup
	for i := 0; i < clients; i++ {
		group.Add(1)
		go func(i int) {
			defer group.Done()
			for k := 0; k < requests; k++ {
				path := "/" + strings.Repeat("x", i) + fmt.Sprint(k)
				answer, err := client.Get("http://" + listener.Addr().String() + path)
				check(err)
				got, err := io.ReadAll(answer.Body)
				check(err)
				check(answer.Body.Close())
				expect("the body", bytes.Equal(got, body(path)))
			}
		}(i)
	}
	group.Wait()
	check(listener.Close())
	return clients * requests
}

func halfClose() {
	listener := listen()
	go func() {
		conn, err := listener.Accept()
		check(err)
		all, err := io.ReadAll(conn)
		check(err)
		_, err = conn.Write(bytes.ToUpper(all))
		check(err)
		check(conn.Close())
	}()
	conn, err := net.Dial("tcp", listener.Addr().String())
	check(err)
	_, err = conn.Write(bytes.Repeat([]byte("a"), 1<<20))
	check(err)
	check(conn.(*net.TCPConn).CloseWrite())
	all, err := io.ReadAll(conn)
	check(err)
	expect("the whole answer", bytes.Equal(all, bytes.Repeat([]byte("A"), 1<<20)))
}

func deadline() {
	listener := listen()
	conn, err := net.Dial("tcp", listener.Addr().String())
	check(err)
	check(conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond)))
	start := time.Now()
	_, err = conn.Read(make([]byte, 1))
	failure, is := err.(net.Error)
	expect("a time-out", is && failure.Timeout())
	expect("not too early", time.Since(start) >= 45*time.Millisecond)
	go func() {
		time.Sleep(20 * time.Millisecond)
		conn.Close()
	}()
	check(conn.SetReadDeadline(time.Time{}))
	_, err = conn.Read(make([]byte, 1))
	expect("closed by another goroutine", err != nil)
}

func pipe() {
	read, write, err := os.Pipe()
	check(err)
	go func() {
		for i := 0; i < 100; i++ {
			fmt.Fprintln(write, i)
		}
		write.Close()
	}()
	all, err := io.ReadAll(read)
	check(err)
	expect("100 lines", bytes.Count(all, []byte("\n")) == 100)
}

func signals() {
	channel := make(chan os.Signal, 100)
	signal.Notify(channel, syscall.SIGUSR1)
	for i := 0; i < 100; i++ {
		check(syscall.Kill(syscall.Getpid(), syscall.SIGUSR1))
		expect("the signal", <-channel == syscall.SIGUSR1)
	}
	signal.Stop(channel)
}

func eventpolls() (count int) {
	links, _ := filepath.Glob("/proc/self/fd/*")
	for _, link := range links {
		if name, err := os.Readlink(link); err == nil && strings.Contains(name, "[eventpoll]") {
			count++
		}
	}
	return
}

func isServed() bool {
	maps, err := os.ReadFile("/proc/self/maps")
	check(err)
	return strings.Contains(string(maps), "libepolyfill")
}

// children starts itself, with an environment and without; the child does a part of the work. It
// also starts the programs of the command line.
func children() {
	for i, environment := range [][]string{nil, {"ONLY=this"}, nil} {
		name, err := os.Executable()
		check(err)
		if i == 2 {
			name = "/proc/self/exe"
		}
		command := exec.Command(name, "child")
		command.Env = environment
		command.Stdin = strings.NewReader(strings.Repeat("in", 100000))
		out, err := command.Output()
		check(err)
		expect(fmt.Sprintf("child %d: %q", i, out), string(out) == fmt.Sprintln("child", 200000, isServed()))
	}
	for _, program := range os.Args[1:] {
		out, err := exec.Command(program).Output()
		check(err)
		expect(fmt.Sprintf("%s: %q", program, out), string(out) == "ran\n")
	}
	_, err := exec.Command("/no/such/program").Output()
	expect("no such program", err != nil)
}

func main() {
	if len(os.Args) == 2 && os.Args[1] == "child" {
		in, err := io.ReadAll(os.Stdin)
		check(err)
		pipe()
		fmt.Println("child", len(in), isServed())
		return
	}
	count := requestAll()
	halfClose()
	deadline()
	pipe()
	signals()
	children()
	fmt.Println(count, "requests, eventpolls:", eventpolls(), "served:", isServed())
}
