package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"
)

func workers() string { return "GOMAXPROCS " + strconv.Itoa(runtime.GOMAXPROCS(0)) }

func spawn(args arguments) {
	count, batch := args.number("count", 1_000_000), args.number("batch", 1_000)
	ns := nsPerOp(args.number("repeat", 5), count/batch*batch, func() {
		for range count / batch {
			var group sync.WaitGroup
			group.Add(batch)
			for range batch {
				go group.Done()
			}
			group.Wait()
		}
	})
	report("spawn", fmt.Sprintf("%s, batch %d", workers(), batch), ns)
}

func yield(args arguments) {
	tasks, total := args.number("tasks", 10), args.number("total", 10_000_000)
	each := max(total/tasks, 1)
	ns := nsPerOp(args.number("repeat", 5), each*tasks, func() {
		var group sync.WaitGroup
		group.Add(tasks)
		for range tasks {
			go func() {
				for range each {
					runtime.Gosched()
				}
				group.Done()
			}()
		}
		group.Wait()
	})
	report("yield", fmt.Sprintf("%s, %d tasks", workers(), tasks), ns)
}

func resident() int {
	text, _ := os.ReadFile("/proc/self/smaps_rollup")
	for _, line := range strings.Split(string(text), "\n") {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "Rss:" {
			kilobytes, _ := strconv.Atoi(fields[1])
			return kilobytes * 1024
		}
	}
	fail("no resident size")
	return 0
}

// Resident bytes per goroutine that waits for one event all of them wait for.
func memory(args arguments) {
	tasks := args.number("tasks", 1_000_000)
	event := make(chan struct{})
	var started sync.WaitGroup
	started.Add(tasks)
	before := resident()
	for range tasks {
		go func() {
			started.Done()
			<-event
		}()
	}
	started.Wait()
	runtime.Gosched()
	bytes := resident() - before
	fmt.Printf("{\"name\":\"memory\",\"variant\":\"wait for event\",\"tasks\":%d,"+
		"\"bytes_per_task\":%.1f,\"total_bytes\":%d}\n", tasks, float64(bytes)/float64(tasks), bytes)
}

func channel(args arguments) {
	messages, capacity := args.number("messages", 1_000_000), args.number("capacity", 1)
	kind := args.text("kind", "pingpong")
	ns := nsPerOp(args.number("repeat", 5), messages, func() {
		switch kind {
		case "pingpong":
			ping, pong := make(chan int, capacity), make(chan int, capacity)
			go func() {
				for value := range ping {
					pong <- value + 1
				}
			}()
			for value := range messages {
				ping <- value
				if <-pong != value+1 {
					fail("a wrong value came back")
				}
			}
			close(ping)
		case "stream":
			values := make(chan int, capacity)
			go func() {
				for value := range messages {
					values <- value
				}
				close(values)
			}()
			sum := 0
			for value := range values {
				sum += value
			}
			if sum != messages*(messages-1)/2 {
				fail("values were lost")
			}
		default:
			fail("--kind: pingpong or stream")
		}
	})
	report("channel", fmt.Sprintf("%s, %s, capacity %d", workers(), kind, capacity), ns)
}

func tree(first, leaves int, result chan<- int) {
	if leaves == 1 {
		result <- first
		return
	}
	part := leaves / 10
	results := make(chan int, 10)
	for i := range 10 {
		go tree(first+i*part, part, results)
	}
	sum := 0
	for range 10 {
		sum += <-results
	}
	result <- sum
}

func skynet(args arguments) {
	leaves := args.number("leaves", 1_000_000)
	ns := nsPerOp(args.number("repeat", 5), 1, func() {
		result := make(chan int, 1)
		go tree(0, leaves, result)
		if <-result != leaves*(leaves-1)/2 {
			fail("a wrong sum")
		}
	})
	report("skynet", workers(), ns)
}

func timers(args arguments) {
	pending, count := args.number("pending", 1_000_000), args.number("count", 1_000_000)
	after := func(i int) time.Duration {
		return time.Minute + time.Duration(uint64(i)*0x9E3779B97F4A7C15>>42)*time.Millisecond
	}
	nothing := func() {}
	each := func(start time.Time, n int) float64 {
		return float64(time.Since(start).Nanoseconds()) / float64(max(n, 1))
	}
	all := make([]*time.Timer, pending)
	start := time.Now()
	for i := range all {
		all[i] = time.AfterFunc(after(i), nothing)
	}
	fill := each(start, pending)
	start = time.Now()
	for i := range count {
		time.AfterFunc(after(pending+i), nothing).Stop()
	}
	churn := each(start, 2*count)
	start = time.Now()
	for _, timer := range all {
		timer.Stop()
	}
	drain := each(start, pending)
	fmt.Printf("{\"name\":\"timers\",\"variant\":\"%d pending\",\"ns_per_op\":%.3f,"+
		"\"set_ns\":%.3f,\"cancel_ns\":%.3f}\n", pending, churn, fill, drain)
}
