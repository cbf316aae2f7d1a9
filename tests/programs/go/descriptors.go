package main

import (
	"os"
)

func main() {
	var keep []*os.File
	for {
		f, err := os.Open("/dev/null")
		if err != nil {
			panic(err)
		}
		keep = append(keep, f)
	}
}
