package main

import (
	"fmt"
	"math"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// The same work as bench/frames/workload.hpp, which says why each thing is as it is.

const (
	sliceUs = 50
	lead    = 300 * time.Millisecond
)

var sink atomic.Uint64

//go:noinline
func spin(iterations uint64) {
	x := uint64(88172645463325252)
	for ; iterations > 0; iterations-- {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
	}
	if x == 0 {
		sink.Store(x)
	}
}

type track struct {
	wake, done, work []int64
	late, dropped    int
}

func (t *track) run(first time.Time, period time.Duration, frames int, work uint64) {
	for frame := range frames {
		due := first.Add(time.Duration(frame) * period)
		time.Sleep(time.Until(due))
		began := time.Now()
		if since := began.Sub(due); since >= period {
			t.wake = append(t.wake, int64(since))
			t.done = append(t.done, int64(since))
			t.late++
			t.dropped++
			continue
		}
		spin(work)
		ended := time.Now()
		t.wake = append(t.wake, max(int64(began.Sub(due)), 0))
		t.done = append(t.done, int64(ended.Sub(due)))
		t.work = append(t.work, int64(ended.Sub(began)))
		if ended.After(due.Add(period)) {
			t.late++
		}
	}
}

type counter struct {
	atomic.Uint64
	_ [56]byte
}

func quantile(sorted []int64, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return float64(sorted[max(int(math.Ceil(q*float64(len(sorted)))), 1)-1]) / 1000
}

func histogram(sorted []int64) string {
	var text strings.Builder
	for i := 0; i < len(sorted); {
		bucket := func(ns int64) int { return int(32 * math.Log2(float64(max(ns, 1)))) }
		this, from := bucket(sorted[i]), i
		for i < len(sorted) && bucket(sorted[i]) == this {
			i++
		}
		if from > 0 {
			text.WriteByte(',')
		}
		fmt.Fprintf(&text, "[%.4g,%d]", math.Exp2(float64(this+1)/32)/1000, i-from)
	}
	return "[" + text.String() + "]"
}

func frames(args arguments) {
	cores := args.number("cores", runtime.NumCPU())
	runtime.GOMAXPROCS(cores)
	perTrack := args.number("frames", 600)
	workUs := args.number("work-us", 1000)
	perUs := args.float("iterations-per-us", 0)
	if perUs == 0 {
		fail("--iterations-per-us is wanted (bench_frames_floor calibrate tells it)")
	}
	period := time.Second / time.Duration(args.number("hz", 120))
	tracks := make([]track, args.number("tracks", 4))
	hogs := make([]counter, args.number("hogs", cores+2))
	var trips counter
	var stop atomic.Bool
	var tracksDone sync.WaitGroup

	first := time.Now().Add(lead)
	for i := range tracks {
		tracks[i].wake = make([]int64, 0, perTrack)
		tracks[i].done = make([]int64, 0, perTrack)
		tracks[i].work = make([]int64, 0, perTrack)
		due := first.Add(period * time.Duration(i) / time.Duration(len(tracks)))
		tracksDone.Add(1)
		go func() {
			defer tracksDone.Done()
			tracks[i].run(due, period, perTrack, uint64(float64(workUs)*perUs))
		}()
	}
	for i := range hogs {
		go func() {
			for !stop.Load() {
				spin(uint64(sliceUs * perUs))
				hogs[i].Add(1)
			}
		}()
	}
	if ioHz := args.number("io-hz", 1000); ioHz > 0 {
		echoPair(&trips, &stop, time.Second/time.Duration(ioHz))
	}

	slicesSpun := func() (sum uint64) {
		for i := range hogs {
			sum += hogs[i].Load()
		}
		return
	}
	// Sleeps in the kernel: the observer must not depend on the scheduler that it observes.
	sleepInKernel(time.Until(first))
	began, slicesBefore, tripsBefore := time.Now(), slicesSpun(), trips.Load()
	sleepInKernel(time.Until(first.Add(time.Duration(perTrack+1) * period)))
	seconds := time.Since(began).Seconds()
	slicesDone, tripsDone := float64(slicesSpun()-slicesBefore), float64(trips.Load()-tripsBefore)
	stop.Store(true)
	tracksDone.Wait()

	var all track
	for _, t := range tracks {
		all.wake = append(all.wake, t.wake...)
		all.done = append(all.done, t.done...)
		all.work = append(all.work, t.work...)
		all.late += t.late
		all.dropped += t.dropped
	}
	slices.Sort(all.wake)
	slices.Sort(all.done)
	slices.Sort(all.work)
	hogUs := slicesDone * sliceUs
	leftUs := seconds*1e6*float64(cores) - float64(len(all.work)*workUs) -
		tripsDone*args.float("io-us", 0)
	fmt.Printf("{\"name\":\"frames\",\"variant\":\"go\",\"frames\":%d,\"late\":%d,\"dropped\":%d,"+
		"\"wake_p50_us\":%.1f,\"wake_p99_us\":%.1f,\"wake_p999_us\":%.1f,\"wake_max_us\":%.1f,"+
		"\"work_p50_us\":%.1f,\"hog_share\":%.4f,\"hog_us\":%.0f,\"left_us\":%.0f,"+
		"\"seconds\":%.3f,\"io_per_second\":%.0f,\"histogram\":%s,\"done_histogram\":%s}\n",
		len(all.wake), all.late, all.dropped, quantile(all.wake, 0.5), quantile(all.wake, 0.99),
		quantile(all.wake, 0.999), quantile(all.wake, 1), quantile(all.work, 0.5), hogUs/leftUs,
		hogUs, leftUs, seconds, tripsDone/seconds, histogram(all.wake), histogram(all.done))
}

func echoPair(trips *counter, stop *atomic.Bool, pause time.Duration) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fail(err.Error())
	}
	go func() {
		connection, err := listener.Accept()
		if err != nil {
			fail(err.Error())
		}
		var data [64]byte
		for {
			if _, err := connection.Read(data[:]); err != nil {
				return
			}
			if _, err := connection.Write(data[:]); err != nil {
				return
			}
		}
	}()
	go func() {
		connection, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			fail(err.Error())
		}
		defer connection.Close()
		var data [64]byte
		next := time.Now()
		for !stop.Load() {
			if _, err := connection.Write(data[:]); err != nil {
				return
			}
			if _, err := connection.Read(data[:]); err != nil {
				return
			}
			trips.Add(1)
			next = next.Add(pause)
			if late := time.Since(next); late > 0 {
				next = next.Add(late)
			}
			time.Sleep(time.Until(next))
		}
	}()
}

func sleepInKernel(d time.Duration) {
	left := syscall.NsecToTimespec(max(int64(d), 0))
	for syscall.Nanosleep(&left, &left) == syscall.EINTR {
	}
}

// Two goroutines that only compute share a processor; see bench/frames/turns.hpp. There is no data
// race: with GOMAXPROCS 1 only one of them runs at a time.
func preempt(args arguments) {
	runtime.GOMAXPROCS(1)
	seconds := args.number("seconds", 5)
	start := time.Now()
	end := time.Duration(seconds) * time.Second
	var noted [2]time.Duration
	gaps := make([]int64, 0, 1<<20)
	var both sync.WaitGroup
	for me := range 2 {
		both.Add(1)
		go func() {
			defer both.Done()
			mine := time.Duration(0)
			for {
				now := time.Since(start)
				if now >= end {
					return
				}
				others := noted[1-me]
				if others > now {
					continue
				}
				if others > mine && len(gaps) < cap(gaps) {
					gaps = append(gaps, int64(now-others))
				}
				mine = now
				noted[me] = now
			}
		}()
	}
	both.Wait()
	slices.Sort(gaps)
	fmt.Printf("{\"name\":\"preempt\",\"variant\":\"go\",\"preemptions\":%d,\"slice_ms\":%.3f,"+
		"\"cost_p50_us\":%.2f,\"cost_p99_us\":%.2f,\"cost_max_us\":%.2f}\n",
		len(gaps), float64(seconds)*1000/float64(max(len(gaps), 1)), quantile(gaps, 0.5),
		quantile(gaps, 0.99), quantile(gaps, 1))
}
