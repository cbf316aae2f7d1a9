package main

import (
	"fmt"
)

type ordered interface{ ~int | ~string }

func largest[T ordered](values []T) T {
	best := values[0]
	for _, v := range values {
		if v > best {
			best = v
		}
	}
	return best
}

func main() {
	fmt.Println(largest([]int{3, 9, 2}), largest([]string{"b", "a"}))
}
