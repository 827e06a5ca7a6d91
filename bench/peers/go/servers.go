package main

import (
	"fmt"
	"net"
	nethttp "net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

func listen(args arguments) net.Listener {
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", args.number("port", 0)))
	if err != nil {
		fail(err.Error())
	}
	fmt.Println("ready", listener.Addr().(*net.TCPAddr).Port)
	return listener
}

func untilTerminated() {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	<-stop
}

func echo(args arguments) {
	listener := listen(args)
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				continue
			}
			go func() {
				defer connection.Close()
				buffer := make([]byte, 4096)
				for {
					length, err := connection.Read(buffer)
					if err != nil {
						return
					}
					if _, err := connection.Write(buffer[:length]); err != nil {
						return
					}
				}
			}()
		}
	}()
	untilTerminated()
}

// /file serves --root DIR's file4k.bin with http.ServeFile, as a Go program does.
func http(args arguments) {
	file := filepath.Join(args.text("root", "."), "file4k.bin")
	cached, _ := os.ReadFile(file)
	mux := nethttp.NewServeMux()
	plaintext := []byte("Hello, World!")
	mux.HandleFunc("/plaintext", func(w nethttp.ResponseWriter, _ *nethttp.Request) {
		w.Header().Set("Content-Type", "text/plain")
		w.Write(plaintext)
	})
	mux.HandleFunc("/file", func(w nethttp.ResponseWriter, r *nethttp.Request) {
		nethttp.ServeFile(w, r, file)
	})
	mux.HandleFunc("/file-cached", func(w nethttp.ResponseWriter, _ *nethttp.Request) {
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Content-Length", fmt.Sprint(len(cached)))
		w.Write(cached)
	})
	go nethttp.Serve(listen(args), mux)
	untilTerminated()
}
