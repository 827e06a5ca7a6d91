// The benchmarks' work on Go. bench/README.md says what each name measures.
package main

import (
	"fmt"
	"os"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"time"
)

type arguments map[string]string

func (a arguments) number(key string, fallback int) int {
	text, given := a[key]
	if !given {
		return fallback
	}
	value, err := strconv.Atoi(text)
	if err != nil {
		fail("--" + key + " wants a number")
	}
	return value
}

func (a arguments) float(key string, fallback float64) float64 {
	text, given := a[key]
	if !given {
		return fallback
	}
	value, err := strconv.ParseFloat(text, 64)
	if err != nil {
		fail("--" + key + " wants a number")
	}
	return value
}

func (a arguments) text(key, fallback string) string {
	if text, given := a[key]; given {
		return text
	}
	return fallback
}

func fail(message string) {
	fmt.Fprintln(os.Stderr, "peer_go:", message)
	os.Exit(2)
}

// Median of repeated timings of work, in ns per operation. The first run does not count.
func nsPerOp(repeat, operations int, work func()) float64 {
	work()
	times := make([]float64, max(repeat, 1))
	for i := range times {
		start := time.Now()
		work()
		times[i] = float64(time.Since(start).Nanoseconds()) / float64(operations)
	}
	sort.Float64s(times)
	return times[len(times)/2]
}

func report(name, variant string, ns float64) {
	fmt.Printf("{\"name\":%q,\"variant\":%q,\"ns_per_op\":%.3f}\n", name, variant, ns)
}

func main() {
	if len(os.Args) < 2 {
		fail("a benchmark's name is missing")
	}
	args := arguments{}
	for i := 2; i < len(os.Args); i += 2 {
		key, found := strings.CutPrefix(os.Args[i], "--")
		if !found || i+1 == len(os.Args) {
			fail("expected --param value, found " + os.Args[i])
		}
		args[key] = os.Args[i+1]
	}
	runtime.GOMAXPROCS(args.number("workers", 1))
	benchmarks := map[string]func(arguments){
		"spawn": spawn, "yield": yield, "memory": memory, "channel": channel,
		"skynet": skynet, "timers": timers, "echo": echo, "http": http,
		"frames": frames, "preempt": preempt,
	}
	benchmark, known := benchmarks[os.Args[1]]
	if !known {
		fail("no benchmark is called " + os.Args[1])
	}
	benchmark(args)
}
