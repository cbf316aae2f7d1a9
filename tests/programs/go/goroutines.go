package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
)

func main() {
	var lock sync.Mutex
	var group sync.WaitGroup
	total := 0
	for i := 1; i <= 100; i++ {
		group.Add(1)
		go func(i int) {
			defer group.Done()
			lock.Lock()
			total += i
			lock.Unlock()
		}(i)
	}
	group.Wait()
	results := make(chan int)
	go func() { results <- total }()
	select {
	case r := <-results:
		fmt.Println(r)
	case <-time.After(3 * time.Second):
		fmt.Println("late")
	}
	os.WriteFile("/tmp/x", []byte("text"), 0o600)
	entries, _ := os.ReadDir("/tmp")
	fmt.Println(len(entries), strings.Repeat("ab", 3))
	text, _ := json.Marshal(map[string]int{"b": 1, "a": 2})
	fmt.Println(string(text))
}
