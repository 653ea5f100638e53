mod entering;
mod matching;
