interface Point {
    x: number;
    y?: string;
}
enum Colour {
    Red,
    Green = 5,
}
class Box<T> {
    constructor(private readonly value: T) {}
    get(): T {
        return this.value;
    }
}
const p: Point = { x: 3 };
const wrong: number = "not checked" as unknown as number;
console.log(new Box<Point>(p).get().x, Colour.Green, typeof wrong);
